import csv
import io

import pytest
from fastapi.testclient import TestClient

from server.store.indexes import update_opposition
from server.store.session import Database
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


def test_the_json_gives_the_columns_asked_for_in_six_digits(client: TestClient):
    whole = client.get("/sae/1/map.json").json()["columns"]
    some = client.get("/sae/1/map.json?columns=y,label_pos,opposition").json()["columns"]
    assert some == {name: whole[name] for name in ("y", "label_pos", "opposition")}
    rows = csv.DictReader(io.StringIO(client.get("/sae/1/map.csv").text))
    exact = [float(row["density_pos"]) for row in rows]
    assert whole["density_pos"] == pytest.approx(exact, rel=1e-5)
    assert whole["y"] == [float(f"{value:.6g}") for value in whole["y"]]


def test_a_column_that_no_map_has_is_named(client: TestClient):
    response = client.get("/sae/1/map.json?columns=x,size")
    assert response.status_code == 422
    assert "no column size" in response.text
    assert "label_neg" in response.text


def test_a_map_that_the_browser_has_is_not_sent_again(client: TestClient):
    tag = client.get("/sae/1/map.json").headers["etag"]
    again = client.get("/sae/1/map.json", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/sae/1/map.json?columns=x", headers={"if-none-match": tag})
    assert other.status_code == 200


def test_linked_maps_ask_for_whole_labels_and_one_alone_does_not(page: Page):
    def asked(address: str) -> list[list[str]]:
        panes = page(address).select("[data-module=feature_map]")
        return [pane["data-url"].split("columns=")[1].split(",") for pane in panes]

    (alone,), linked = asked("/sae/1/map"), asked("/sae/1/map?with=1")
    assert "label" not in alone
    assert {"label_neg", "max_pos", "opposition"} <= set(alone)
    assert all("label" in names for names in linked)


def test_the_csv_has_every_point(client: TestClient):
    rows = list(csv.DictReader(io.StringIO(client.get("/sae/1/map.csv").text)))
    assert [int(row["feature"]) for row in rows] == list(range(32))


def test_a_metric_without_a_map_says_what_to_do(client: TestClient):
    for address in ("/sae/1/map?metric=directed", "/sae/1/map.json?metric=directed"):
        response = client.get(address)
        assert response.status_code == 404
        assert "dipole map --sae 1 --metric directed" in response.text
    assert client.get("/sae/1/map.json?metric=axis").json()["metric"] == "axis"


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


def test_a_map_is_sent_again_when_opposition_was_added_to_its_index(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    seen = client.get("/sae/1/map.json")
    with sqlite_database.write() as session:
        update_opposition(session, sqlite_world.index, [(9, 5.0)], {"null_95": 1.75})
    again = client.get("/sae/1/map.json", headers={"if-none-match": seen.headers["etag"]})
    assert again.status_code == 200
    place = again.json()["columns"]["feature"].index(9)
    assert again.json()["columns"]["opposition"][place] == 5.0
    assert again.json()["opposition_null_95"] == 1.75
