"""What the index stores beyond the strongest contexts: on the page, in the JSON, and mirrored."""

import pytest
from fastapi.testclient import TestClient

from server.store.explanations import ExplanationRecord, write_explanation
from server.store.session import Database
from tests.server.web.conftest import Page

KINDS = (0, 1, 2, 3)
"""Two-sided, positive only, negative only, never fired."""


def mirrored(entries: list[dict], *names: str) -> list[dict]:
    return [{**entry, **{name: -entry[name] for name in names}} for entry in entries]


@pytest.mark.parametrize("feature", KINDS)
def test_intervals_of_the_poles_mirror_each_other(client: TestClient, feature: int):
    poles = client.get(f"/sae/1/feature/{feature}.json").json()["poles"]
    bounds = {
        pole: [(entry["near"], entry["far"]) for entry in poles[pole]["intervals"]] for pole in "+-"
    }
    assert bounds["-"] == [(-near, -far) for near, far in bounds["+"]]


@pytest.mark.parametrize(("pole", "sign"), [("+", 1), ("-", -1)])
def test_samples_lie_in_their_interval(client: TestClient, pole: str, sign: int):
    intervals = client.get("/sae/1/feature/0.json").json()["poles"][pole]["intervals"]
    drawn = [(each, context) for each in intervals for context in each["contexts"]]
    assert drawn
    assert all(
        sign * each["near"] <= sign * context["value"] < sign * each["far"]
        for each, context in drawn
    )


def test_quantiles_tokens_and_partners_turn_their_signs_with_the_view(client: TestClient):
    straight = client.get("/sae/1/feature/0.json").json()
    flipped = client.get("/sae/1/feature/0.json?pole=-").json()
    before, now = straight["poles"]["-"], flipped["poles"]["+"]
    assert now["quantiles"] == mirrored(before["quantiles"], "value")
    assert now["token_statistics"] == mirrored(before["token_statistics"], "mean")
    partner, turned = straight["together"]["features"][0], flipped["together"]["features"][0]
    assert (partner["same_sign"], partner["opposite_sign"]) == (6, 2)
    assert (turned["same_sign"], turned["opposite_sign"]) == (2, 6)
    assert turned["lift"] == partner["lift"]


def test_only_a_feature_is_said_to_be_named_after_its_words(page: Page):
    feature, axis = (
        page(f"/sae/{sae}/feature/0").select_one(".half-neg .label-words").text for sae in (1, 3)
    )
    assert feature.startswith("Named after the words at its extremes, times as often")
    assert axis.startswith("Words at its extremes, times as often")


def test_what_is_unfolded_is_in_the_address_and_in_the_pages_own_links(page: Page):
    soup = page("/sae/1/feature/0?open=turns")
    assert [fold["id"] for fold in soup.select("details.fold[open]")] == ["turns"]
    assert soup.select_one("[rel=next]")["href"] == "/sae/1/feature/1?open=turns"
    assert "open=" not in soup.select_one(".foot a")["href"]


def test_the_page_shows_each_of_them(page: Page):
    soup = page("/sae/1/feature/0")
    assert not soup.select_one("#intervals").has_attr("open")
    assert len(soup.select("#intervals .interval .drawn")) == 4
    assert "3 to −, 3 to +" in soup.select_one("#turns summary").text
    assert "99.9 % within" in soup.select_one(".half-neg .quantiles").text
    assert "king" in soup.select_one(".half-neg table.compact").text
    assert "king × 30.5" in soup.select_one(".half-neg .label-words").text
    assert "× 2.5" in soup.select_one("section[aria-labelledby=together]").text


def test_an_explanation_is_shown_and_changes_sides(
    client: TestClient, page: Page, sqlite_database: Database
):
    with sqlite_database.write() as session:
        write_explanation(
            session,
            ExplanationRecord(
                1, 4, "a-model", "joy", "grief", "grief ↔ joy", 0.9, 0.8, 0.85, 0.2, 20
            ),
        )
    assert "grief ↔ joy" in page("/sae/1/feature/4").text
    flipped = client.get("/sae/1/feature/4.json?pole=-").json()["explanation"]
    assert flipped["axis"] == "joy ↔ grief"
    assert flipped["poles"] == {"+": "grief", "-": "joy"}
    assert flipped["detection"] == {"+": 0.8, "-": 0.9}


@pytest.mark.parametrize(
    ("feature", "word"), [(2, "this pole is silent"), (3, "never fired on 384")]
)
def test_a_negative_only_feature_is_not_called_silent_as_a_whole(
    page: Page, feature: int, word: str
):
    facts = page(f"/sae/1/feature/{feature}").select_one(".facts").text
    assert word in facts
    assert "dead" not in facts


def test_everything_can_be_taken_along(page: Page, client: TestClient):
    links = {
        link.text: link["href"]
        for link in page("/sae/1/feature/0?pole=-").select("section[aria-labelledby=export] a")
    }
    assert {"safetensors", "Python"} < links.keys()
    for name in ("JSON", "See the card."):
        assert client.get(links[name]).status_code == 200
        assert "pole=-" in links[name]
