import csv
import io

import pytest
from fastapi.testclient import TestClient

from server.web.plotly import plotly_url
from tests.builders import World
from tests.server.web.conftest import Page


def test_the_page_states_what_was_embedded_and_how(page: Page):
    text = page("/sae/1/map").select_one(".page-head").text
    for word in (
        "t-SNE",
        "32 decoder rows",
        "|cosine|",
        "perplexity 10",
        "seed 0",
        "Trustworthiness 0.93",
        "qualitative",
    ):
        assert word in text


def test_the_json_has_columns_of_equal_length_and_the_method(client: TestClient):
    body = client.get("/sae/1/map.json").json()
    assert {len(column) for column in body["columns"].values()} == {body["items"]} == {32}
    assert (body["metric"], body["method"], body["perplexity"], body["seed"]) == (
        "axis",
        "t-SNE",
        10.0,
        0,
    )
    assert body["columns"]["label_neg"][0] == "king"


def test_the_csv_has_every_point(client: TestClient):
    rows = list(csv.DictReader(io.StringIO(client.get("/sae/1/map.csv").text)))
    assert [int(row["feature"]) for row in rows] == list(range(32))


def test_without_scripts_the_coordinates_are_a_link_away(page: Page):
    links = [link["href"] for link in page("/sae/1/map").select("noscript a")]
    assert "/sae/1/map.csv" in links


@pytest.mark.parametrize("colour", ["balance", "opposition", "density"])
def test_the_colour_is_in_the_address(page: Page, colour: str):
    soup = page(f"/sae/1/map?colour={colour}")
    assert soup.select_one(f"option[value={colour}]").has_attr("selected")


def test_an_sae_without_a_map_says_what_to_do(page: Page, client: TestClient, sqlite_world: World):
    soup = page(f"/sae/{sqlite_world.dim}/map")
    assert soup.select_one(".empty")
    assert soup.select_one("script[src*=plotly]") is None
    assert client.get(f"/sae/{sqlite_world.dim}/map.json").status_code == 404


def test_plotly_comes_from_the_installed_package(page: Page, client: TestClient):
    address = page("/sae/1/map").select_one("script[src*=plotly]")["src"]
    assert address == plotly_url()
    response = client.get(address)
    assert response.content[:200].lower().find(b"plotly.js") > 0
    assert "immutable" in response.headers["cache-control"]


def test_another_version_of_plotly_is_not_here(client: TestClient):
    assert client.get("/vendor/plotly-0.0.1.min.js").status_code == 404
