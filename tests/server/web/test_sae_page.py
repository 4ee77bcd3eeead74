import csv
import io

import pytest
from fastapi.testclient import TestClient

from server.store.feature_table import SORTS
from tests.builders import World
from tests.server.web.conftest import Page


def numbers(soup) -> list[int]:
    return [int(cell.text) for cell in soup.select("#feature-table tbody td:first-child a")]


def test_the_table_lists_features_in_order_and_counts_them(page: Page):
    soup = page("/sae/1?limit=10")
    assert numbers(soup) == list(range(10))
    assert "1–10 of 32" in soup.select_one(".pager").text


def test_next_leads_to_the_rows_that_follow(page: Page):
    soup = page("/sae/1?limit=10")
    following = page(soup.select_one("a[rel=next]")["href"])
    assert numbers(following) == list(range(10, 20))
    assert "11–20 of 32" in following.select_one(".pager").text
    assert following.find("a", string="« First") is not None


def test_the_last_page_has_no_next(page: Page):
    assert page("/sae/1?limit=32").select_one("a[rel=next]") is None


@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_of_the_store_works_in_the_address(client: TestClient, sort: str):
    body = client.get(f"/sae/1/features.json?sort={sort}&limit=5").json()
    assert len(body["features"]) == 5


def test_a_click_on_the_sorted_column_turns_the_order_round(page: Page):
    soup = page("/sae/1?sort=density_pos")
    head = soup.select_one("th[aria-sort]")
    assert head["aria-sort"] == "descending"
    assert "order=asc" in head.a["href"]


def test_search_says_which_pole_matched(page: Page):
    rows = page("/sae/1?search=king").select("#feature-table tbody tr")
    assert "matched −" in rows[0].text


def test_filters_narrow_the_rows_and_stay_in_the_form(page: Page):
    soup = page("/sae/1?min_balance=0.9")
    assert numbers(soup) == [1, 9, 17, 25]
    assert soup.select_one("input[name=min_balance]")["value"] == "0.9"


def test_empty_fields_of_a_form_are_no_filter(page: Page):
    assert len(numbers(page("/sae/1?search=&min_balance=&max_balance=&min_density="))) == 32


def test_no_match_says_what_to_do(page: Page):
    assert "clear the filters" in page("/sae/1?search=zebra").select_one("#feature-table").text


def test_an_sae_without_an_index_says_what_is_going_on(page: Page, sqlite_world: World):
    assert "being indexed" in page(f"/sae/{sqlite_world.topk}").select_one("#feature-table").text


def test_the_csv_holds_exactly_the_rows_of_the_page(page: Page, client: TestClient):
    soup = page("/sae/1?sort=max&limit=7&search=queen")
    link = next(a["href"] for a in soup.select("[data-live-links] a") if a.text == "CSV")
    rows = list(csv.DictReader(io.StringIO(client.get(link).text)))
    assert [int(row["feature"]) for row in rows] == numbers(soup)


def test_features_json_keeps_its_contract_and_signs(client: TestClient):
    body = client.get("/sae/1/features.json?limit=3").json()
    assert body.keys() == {"features", "total", "next"}
    row = body["features"][0]
    assert {"feature", "label", "density", "max", "pole_balance", "opposition"} <= row.keys()
    assert row["max"]["-"] < 0 < row["max"]["+"]


def test_next_of_the_json_pages_through_everything_once(client: TestClient):
    seen, after = [], ""
    while after is not None:
        query = {"sort": "opposition", "limit": 7, **({"after": after} if after else {})}
        body = client.get("/sae/1/features.json", params=query).json()
        seen += [row["feature"] for row in body["features"]]
        after = body["next"]
    assert sorted(seen) == list(range(32))


def test_an_sae_is_found_by_name_too(client: TestClient, sqlite_world: World):
    assert client.get(f"/sae/{sqlite_world.abstopk_name}.json").json()["id"] == sqlite_world.abstopk


def test_the_json_of_an_sae_does_not_name_files_of_the_server(client: TestClient):
    assert "path" not in client.get("/sae/1.json").json()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sort=magic", "sort"),
        ("limit=0", "limit"),
        ("limit=5000", "limit"),
        ("after=nonsense", "after"),
        ("min_balance=7", "min_balance"),
        ("min_density=nan", "min_density"),
        (f"search={'x' * 300}", "search"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(client: TestClient, query: str, said: str):
    response = client.get(f"/sae/1/features.json?{query}")
    assert response.status_code in (400, 422)
    detail = response.json()["detail"]
    assert said in detail
    assert detail.endswith(".")


def test_the_map_in_small_has_every_feature_on_the_side_it_leans_to(page: Page):
    paths = page("/sae/1").select(".mini-map path")
    counts = {path["class"][0]: path["d"].count("M") for path in paths}
    assert sum(counts.values()) == 32
    assert counts["dots-neg"] >= 4 <= counts["dots-pos"]


def test_the_page_and_its_json_say_how_the_text_became_windows(
    client: TestClient, sqlite_world: World
) -> None:
    text = client.get(f"/sae/{sqlite_world.abstopk}.json").json()["text"]
    page = client.get(f"/sae/{sqlite_world.abstopk}").text

    assert text == {
        "name": "tiny stories", "windows": 24, "tokens": 384, "context": 16,
        "packing": "documents apart", "bos_policy": "first",
    }  # fmt: skip
    assert "Packing: documents apart." in page
    assert "BOS: first." in page
    assert client.get(f"/sae/{sqlite_world.topk}.json").json()["text"] is None
