from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from server.store.runs import claim_run, create_run, finish_run
from server.store.session import Database
from tests.builders import World
from tests.server.web.conftest import Page


def test_every_sae_is_a_row_with_a_link(page: Page, sqlite_world: World):
    links = page("/").select("section[aria-labelledby=saes] td.main-cell a")
    assert [link["href"] for link in links] == [
        f"/sae/{sqlite_world.abstopk}",
        f"/sae/{sqlite_world.topk}",
    ]


def test_axes_stand_under_their_own_heading(page: Page, sqlite_world: World):
    links = page("/").select("section[aria-labelledby=axes] td.main-cell a")
    assert [link.text for link in links] == [sqlite_world.dim_name]


def test_a_feature_that_beats_its_null_is_a_card_with_its_poles_in_place(page: Page):
    card = page("/").select_one(".opposite")
    assert card is not None
    assert card.select_one("h3").text == "gender"
    assert card.select_one(".badge.neg").text == "− male"
    assert card.select_one(".badge.pos").text == "female +"


def test_what_is_suggested_is_not_called_more_than_was_measured(page: Page):
    text = page("/").select_one("section[aria-labelledby=look-first]").text
    assert "mean sign over a passage tells two kinds of text apart" in text
    assert "opposites" not in text


def test_a_feature_that_does_not_beat_its_null_is_only_a_note(page: Page):
    section = page("/").select_one("section[aria-labelledby=look-first]")
    assert [heading.text for heading in section.select(".opposite h3")] == ["gender"]
    note = section.find("p", string=None, class_="small quiet", recursive=False)
    assert "Did not beat its null" in note.text
    assert {link.text.split(" ")[0] for link in note.select("a")} == {"sentiment", "tense"}


def test_a_run_in_progress_is_shown_however_many_have_ended_since(
    page: Page, client: TestClient, sqlite_world: World, sqlite_database: Database
):
    with sqlite_database.write() as session:
        for _ in range(60):
            run = claim_run(session, create_run(session, "map", {}))
            assert run is not None
            finish_run(session, run, "done")
    section = page("/").select_one("[data-module=runs]")
    shown = {int(run["data-run"]) for run in section.select("[data-run]")}
    assert sqlite_world.running_run in shown
    polled = client.get(section["data-url"]).json()["runs"]
    assert shown == {run["id"] for run in polled}, "else the page would be loaded again and again"


def test_runs_in_progress_have_a_bar_and_say_what_they_do(page: Page, sqlite_world: World):
    runs = page("/").select("[data-run]")
    assert [int(run["data-run"]) for run in runs] == [
        sqlite_world.running_run,
        sqlite_world.queued_run,
    ]
    assert float(runs[0].select_one("progress")["value"]) == 0.25
    assert "laying out 32 features" in runs[0].text


def test_an_empty_library_says_what_to_do(empty_client: TestClient):
    soup = BeautifulSoup(empty_client.get("/").text, "html.parser")
    assert "dipole demo" in soup.select_one(".empty").text


def test_saes_json_keeps_its_contract(client: TestClient):
    saes = client.get("/saes.json").json()["saes"]
    assert {
        "id", "name", "sparsifier", "model", "layer", "width", "k", "state", "nmse",
        "loss_recovered", "live", "two_sided",
    } <= saes[0].keys()  # fmt: skip
    assert [entry["state"] for entry in saes] == ["ready", "indexing", "ready"]


def test_saes_csv_has_a_row_per_sae(client: TestClient):
    lines = client.get("/saes.csv").text.splitlines()
    assert lines[0].startswith("id,name,")
    assert len(lines) == 4


def test_runs_json_shows_progress_and_no_payload(client: TestClient, sqlite_world: World):
    runs = client.get("/runs.json").json()["runs"]
    running = next(run for run in runs if run["id"] == sqlite_world.running_run)
    assert (running["state"], running["done"], running["total"]) == ("running", 30, 120)
    assert "payload" not in running
