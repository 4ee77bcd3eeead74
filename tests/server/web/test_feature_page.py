import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from frontend.filters import visible
from server.store.encoding import pack_json, unpack_json
from server.store.session import Database
from server.store.tables import Feature
from tests.builders import VOCABULARY, World
from tests.server.web.conftest import Page


def test_minus_is_left_and_plus_is_right(page: Page):
    soup = page("/sae/1/feature/0")
    assert [half["class"][-1] for half in soup.select(".half")] == ["half-neg", "half-pos"]
    assert soup.select_one("h1 .neg").text.endswith("king")
    assert "queen" in soup.select_one("h1 .pos").text


def test_each_context_is_centred_on_its_own_extreme_token(page: Page, client: TestClient):
    poles = client.get("/sae/1/feature/0.json").json()["poles"]
    for half, pole in zip(page("/sae/1/feature/0").select(".half"), ("-", "+"), strict=True):
        shown = [
            tok["data-value"] for tok in half.select("ol[data-by=extreme] .kwic > .tok.extreme")
        ]
        stored = [context["value"] for context in poles[pole]["contexts"]]
        assert [float(value.replace("−", "-")) for value in shown] == pytest.approx(
            stored, abs=0.006
        )


def test_every_context_has_its_whole_text_and_its_place_in_the_json(page: Page, client: TestClient):
    poles = client.get("/sae/1/feature/0.json").json()["poles"]
    for strip in page("/sae/1/feature/0?by=mean").select("ol[data-by=mean] .strip"):
        context = poles[strip["data-pole"]]["contexts_by_mean"][int(strip["data-rank"])]
        assert strip.text == "".join(map(visible, context["tokens"]))


def test_whole_texts_in_colour_are_an_address_away_without_scripts(page: Page):
    link = page("/sae/1/feature/2?pole=-").select_one("noscript a")["href"]
    strips = page(link).select("ol[data-by=extreme] .strip")
    assert strips
    assert all(strip.select(".tok[data-value]") for strip in strips)


def test_values_below_zero_have_their_own_class_and_are_spoken(page: Page):
    token = page("/sae/1/feature/2").select_one(".half-neg .kwic > .tok.extreme")
    assert any(name.startswith("neg-") for name in token["class"])
    assert token["data-value"].startswith("−")
    assert "minus" in token.select_one(".sr").text


@pytest.mark.parametrize("by", ["extreme", "mean"])
def test_the_ranking_that_is_asked_for_is_shown_and_the_other_is_a_link_away(page: Page, by: str):
    soup = page(f"/sae/1/feature/0?by={by}")
    assert {entry["data-by"] for entry in soup.select("ol[data-by]")} == {by}
    links = {entry["data-by"]: entry for entry in soup.select("a[data-by]")}
    assert [name for name, link in links.items() if link.get("aria-current")] == [by]
    other = "mean" if by == "extreme" else "extreme"
    lists = page(links[other]["href"]).select("ol[data-by]")
    assert {entry["data-by"] for entry in lists} == {other}


def test_an_empty_pole_says_why(page: Page):
    half = page("/sae/1/feature/1").select_one(".half-neg")
    assert "never below zero" in half.select_one(".notice").text


def test_a_feature_that_never_fired_still_has_a_page(page: Page):
    soup = page("/sae/1/feature/3")
    assert len(soup.select(".half .notice")) == 2


def test_the_histogram_has_both_tails_and_counts_zeros_apart(page: Page):
    figure = page("/sae/1/feature/0").select_one(".histogram-figure")
    assert figure.select("rect.bar-neg")
    assert figure.select("rect.bar-pos")
    assert "exactly 0" in figure.text


def test_the_logits_of_the_whole_vocabulary_are_drawn_and_mirrored_by_a_flip(
    page: Page, client: TestClient
):
    bars = {pole: page(f"/sae/1/feature/0?pole={pole}").select("#logits rect") for pole in "+-"}
    sides = {pole: [bar["class"][0] for bar in each] for pole, each in bars.items()}
    assert sides["+"] == ["bar-neg", "bar-neg", "bar-pos", "bar-pos", "bar-pos"]
    assert sides["-"] == ["bar-neg", "bar-neg", "bar-neg", "bar-pos", "bar-pos"]
    straight, flipped = (
        client.get("/sae/1/feature/0.json", params={"pole": pole}).json()["logits"] for pole in "+-"
    )
    assert flipped["counts"] == straight["counts"][::-1]
    assert flipped["edges"] == straight["edges"] == [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]


def test_bars_of_the_minus_pole_lie_left_of_zero(page: Page):
    for bar in page("/sae/1/feature/0").select("rect.bar-neg"):
        assert float(bar["x"]) + float(bar["width"]) <= 500


def test_hostile_tokens_are_text(client: TestClient):
    html = client.get("/sae/1/feature/0").text
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_hostile_tokens_are_exact_in_the_json(client: TestClient):
    poles = client.get("/sae/1/feature/0.json").json()["poles"]
    for pole in poles.values():
        for context in pole["contexts"]:
            assert context["tokens"] == [VOCABULARY[token] for token in context["token_ids"]]
            assert context["activations"][context["position"]] == context["value"]


def test_the_feature_json_keeps_its_contract(client: TestClient):
    body = client.get("/sae/1/feature/0.json").json()
    assert {
        "feature", "label", "pole_balance", "opposition", "density", "histogram", "logits", "neighbours", "poles",
    } <= body.keys()  # fmt: skip
    assert body["histogram"].keys() == {"edges", "counts", "zeros", "tokens"}
    assert body["neighbours"].keys() == {"aligned", "opposed"}
    for sign, pole in ((1, body["poles"]["+"]), (-1, body["poles"]["-"])):
        assert {
            "label", "max", "quantile_999", "promoted", "suppressed", "contexts", "contexts_by_mean",
        } <= pole.keys()  # fmt: skip
        assert sign * pole["max"] > 0
        assert {
            "tokens", "token_ids", "activations", "position", "value", "mean", "document",
        } <= pole["contexts"][0].keys()  # fmt: skip


def test_paging_and_flipping_are_links_with_keys(page: Page):
    soup = page("/sae/1/feature/4?pole=-")
    keys = {link["data-key"]: link["href"] for link in soup.select("a[data-key]")}
    assert keys == {
        "ArrowLeft": "/sae/1/feature/3?pole=-",
        "ArrowRight": "/sae/1/feature/5?pole=-",
        "p": "/sae/1/feature/4",
    }


def test_the_first_feature_has_no_previous_and_the_last_no_next(page: Page):
    assert page("/sae/1/feature/0").select_one("[data-key=ArrowLeft]") is None
    assert page("/sae/1/feature/31").select_one("[data-key=ArrowRight]") is None


def test_opposition_says_that_it_is_of_the_words_at_the_extremes(page: Page):
    facts = {fact.dt.text: fact for fact in page("/sae/1/feature/1").select(".facts > div")}
    assert "of the words at the two extremes, not of whole texts" in facts["opposition"].text


def test_the_flipped_page_swaps_the_halves(page: Page):
    soup = page("/sae/1/feature/0?pole=-")
    assert "queen" in soup.select_one("h1 .neg").text
    assert "king" in soup.select_one("h1 .pos").text
    assert soup.select_one("form[data-module=test_box]")["data-flip"] == "-1"


def test_steering_buttons_of_a_flipped_page_still_name_stored_strengths(page: Page):
    def strengths(url: str) -> dict[str, float]:
        buttons = page(url).select("button[name=strength]")
        return {button.text[:2]: float(button["value"]) for button in buttons}

    straight, flipped = strengths("/sae/1/feature/0"), strengths("/sae/1/feature/0?pole=-")
    assert straight["+1"] > 0 > straight["−1"]
    assert (flipped["−1"], flipped["+1"]) == (straight["+1"], straight["−1"])


def test_an_axis_shows_its_name_and_its_sides(page: Page, sqlite_world: World):
    heading = page(f"/sae/{sqlite_world.dim}/feature/0").select_one("h1").text
    assert heading.startswith("gender:")
    assert "female" in heading


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/sae/1/feature/99", "0 to 31"),
        ("/sae/99/feature/0", "no SAE 99"),
        ("/sae/2/feature/3", "not indexed yet"),
        ("/sae/3/feature/1", "does not hold feature 1"),
    ],
)
def test_what_is_not_there_says_what_to_do(client: TestClient, url: str, said: str):
    html, json = client.get(url), client.get(f"{url}.json")
    assert html.status_code == json.status_code == 404
    assert said in html.text
    assert said in json.json()["detail"]


@pytest.mark.parametrize(
    ("query", "sides"), [("", "− male ↔ female +"), ("?pole=-", "− female ↔ male +")]
)
def test_the_concept_it_is_an_axis_of_is_named_and_flips_with_the_view(
    page: Page, query: str, sides: str
):
    facts = page(f"/sae/1/feature/0{query}").select_one(".facts")
    assert "gender" in [name.text for name in facts.select("dt")]
    assert sides in facts.text


def test_a_concept_that_did_not_beat_its_null_is_not_claimed(page: Page):
    for feature in (4, 5):
        names = [name.text for name in page(f"/sae/1/feature/{feature}").select(".facts dt")]
        assert not {"sentiment", "tense"} & set(names)


def test_a_neighbour_that_points_elsewhere_is_in_the_json_and_not_on_the_page(
    client: TestClient, page: Page, sqlite_database: Database
):
    numbers = {"aligned": [[1, 0.5], [2, -0.01]], "opposed": [[4, 0.08]]}
    with sqlite_database.write() as session:
        row = session.scalars(select(Feature).where(Feature.feature == 0)).first()
        assert row is not None
        row.details = pack_json({**unpack_json(row.details), "neighbours": numbers})
    assert len(client.get("/sae/1/feature/0.json").json()["neighbours"]["aligned"]) == 2
    opposed, aligned = page("/sae/1/feature/0").select(".neighbours")
    assert opposed.text.strip() == "none points the other way"
    assert [row.select("span")[-1].text for row in aligned.select("li")] == ["+0.50"]
    assert aligned.select("li > .pos")
    flipped = page("/sae/1/feature/0?pole=-").select(".neighbours")
    assert flipped[1].text.strip() == "none points the same way"
    assert flipped[0].select("li > .neg")
