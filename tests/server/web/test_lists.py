import csv
import io
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from server.web.list_view import MOST
from tests.server.web.conftest import Page

ITEMS = [("item", "1.0"), ("item", "1.2.neg~a <b>note</b>"), ("item", "1.999")]


def address(
    path: str = "/list", items: list[tuple[str, str]] | None = None, title: str = ""
) -> str:
    return f"{path}?{urlencode([('title', title), *(ITEMS if items is None else items)])}"


def test_a_list_shows_its_features_poles_and_notes_in_order(page: Page):
    rows = page(address()).select("[data-item]")
    assert [row["data-item"] for row in rows] == ["1.0", "1.2.neg", "1.999"]
    assert rows[1].select_one("[data-role=note]")["value"] == "a <b>note</b>"
    assert rows[1].th.a["href"] == "/sae/1/feature/2?pole=-"


def test_a_feature_that_is_not_there_keeps_its_row_and_says_so(page: Page):
    assert "not in a published index" in page(address()).select("[data-item]")[2].text


def test_the_json_and_csv_hold_what_is_shown(client: TestClient):
    body = client.get(address("/list.json", title="mine")).json()
    assert body["title"] == "mine"
    assert [entry["pole"] for entry in body["features"]] == [None, "-", None]
    assert body["features"][1]["max"]["-"] <= 0
    rows = list(csv.DictReader(io.StringIO(client.get(address("/list.csv")).text)))
    assert [row["feature"] for row in rows] == ["0", "2", "999"]


def test_an_item_counts_once(client: TestClient):
    items = [("item", "1.0"), ("item", "1.0~again")]
    assert len(client.get(address("/list.json", items)).json()["features"]) == 1


@pytest.mark.parametrize(
    "text", ["", "1", "1.x", "a.1", "1.2.up", "1.2.pos.3", "-1.2", f"1.{2**40}"]
)
def test_an_item_that_cannot_be_read_is_refused_in_a_sentence(client: TestClient, text: str):
    response = client.get(address("/list.json", [("item", text)]))
    assert response.status_code == 422
    assert text[:60] in response.json()["detail"]


def test_a_list_has_an_end_and_says_what_is_left_out(client: TestClient, page: Page):
    items = [("item", f"1.{number}") for number in range(MOST + 3)]
    answer = client.get(address("/list.json", items)).json()
    assert [entry["feature"] for entry in answer["features"]] == list(range(MOST))
    assert answer["left_out"] == 3
    assert len(client.get(address("/list.csv", items)).text.splitlines()) == 1 + MOST
    soup = page(address("/list", items))
    assert len(soup.select("tr[data-item]")) == MOST
    assert "3 more" in soup.select_one(".notice").text


def test_an_empty_list_says_how_to_star(page: Page):
    assert "Nothing is starred" in page("/list").select_one("[data-role=empty]").text


def test_a_feature_page_offers_stars_for_itself_and_each_stored_pole(page: Page):
    plain = [star["data-item"] for star in page("/sae/1/feature/3").select(".star")]
    flipped = [star["data-item"] for star in page("/sae/1/feature/3?pole=-").select(".star")]
    assert plain == ["1.3", "1.3.neg", "1.3.pos"]
    assert flipped == ["1.3", "1.3.pos", "1.3.neg"]


def test_a_list_side_by_side_shows_the_pole_that_an_item_names(page: Page):
    soup = page(
        address(items=[("item", "1.0"), ("item", "1.2.neg"), ("item", "1.999")]) + "&view=cards"
    )
    cards = soup.select(".beside .card-body")
    assert [len(card.select(".half")) for card in cards] == [2, 1]
    assert cards[1].select_one(".half-neg .tok.extreme")["data-value"].startswith("−")
    assert soup.select_one("[data-view=cards]")["aria-current"] == "true"
    assert len(soup.select("[data-item]")) == 3
