import pytest
from fastapi.testclient import TestClient

from server.store.run_points import write_point
from server.store.runs import (
    claim_run,
    create_run,
    finish_run,
    get_run,
    report_run,
    request_cancel,
)
from server.store.session import Database
from server.web.pages import run as run_pages
from tests.builders import World
from tests.server.web.conftest import Page

PAYLOAD = {
    "model": "demo",
    "sae": "abstopk",
    "width": 64,
    "k": 8,
    "text": "/secret/place/story.txt",
}


def training(database: Database, sae: int | None = None, error: str | None = None) -> int:
    """A run with two points; at work, or ended."""
    with database.write() as session:
        run = claim_run(session, create_run(session, "train", PAYLOAD))
        assert run is not None
        for done, nmse in ((10, 0.8), (50, 0.4)):
            report_run(session, run, done, 100, f"trained {done} tokens")
            write_point(session, run, done, 100, {"nmse": nmse, "l0": 8, "dead+": 3, "dead-": 5})
        if sae is not None:
            finish_run(session, run, "done", {"sae": sae, "name": "mine", "nmse": 0.25})
        elif error is not None:
            finish_run(session, run, "failed", error=error)
    return run.id


def test_a_run_at_work_shows_progress_curves_and_a_way_to_stop_it(
    page: Page, sqlite_database: Database, sqlite_world: World
):
    run_id = training(sqlite_database)
    soup = page(f"/run/{run_id}")
    assert float(soup.select_one("progress")["value"]) == 0.5
    assert "trained 50 tokens" in soup.text
    assert [title.text for title in soup.select(".run-curves h2")] == ["nMSE", "L0", "Dead poles"]
    assert len(soup.select(".run-curves figure")[2].select(".curve-line")) == 2
    assert "0.800 to 0.400" in soup.select_one(".run-curves svg")["aria-label"]
    assert soup.select_one(f"form[action='/run/{run_id}/cancel']")
    assert not soup.select("form[action$=resume]")


def test_what_was_asked_is_shown_without_the_server_s_folders(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    run_id = training(sqlite_database)
    html, json = client.get(f"/run/{run_id}").text, client.get(f"/run/{run_id}.json").text
    assert "story.txt" in html
    assert "story.txt" in json
    assert "/secret" not in html + json


def test_a_finished_training_links_to_its_sae(
    page: Page, sqlite_database: Database, sqlite_world: World
):
    soup = page(f"/run/{training(sqlite_database, sae=sqlite_world.abstopk)}")
    link = soup.select_one("section[aria-labelledby=run-result] a")
    assert (link["href"], link.text) == (f"/sae/{sqlite_world.abstopk}", "mine")
    assert not soup.select("form[method=post]")


def test_a_finished_run_shows_what_it_warns_of(
    page: Page, sqlite_database: Database, sqlite_world: World
):
    with sqlite_database.write() as session:
        run = claim_run(session, create_run(session, "index", {"saes": [sqlite_world.abstopk]}))
        assert run is not None
        finish_run(session, run, "done", {"warning": "the text is <one> document"})
    assert page(f"/run/{run.id}").select_one(".notice").text == "the text is <one> document"
    assert not page(f"/run/{training(sqlite_database, sae=sqlite_world.abstopk)}").select(".notice")


def test_a_failed_run_says_why_and_can_be_resumed(
    client: TestClient, page: Page, sqlite_database: Database, sqlite_world: World
):
    run_id = training(sqlite_database, error="the disk is full: free some")
    soup = page(f"/run/{run_id}")
    assert soup.select_one("[role=alert]").text == "the disk is full: free some"
    answer = client.post(f"/run/{run_id}/resume", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{run_id}")
    with sqlite_database.read() as session:
        assert get_run(session, run_id).state == "queued"


def test_a_queued_run_says_how_many_are_before_it(page: Page, sqlite_world: World):
    assert "1 run before it" in page(f"/run/{sqlite_world.queued_run}").text


def test_cancelling_ends_a_queued_run_and_asks_a_running_one(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    for run_id in (sqlite_world.queued_run, sqlite_world.running_run):
        assert client.post(f"/run/{run_id}/cancel", follow_redirects=False).status_code == 303
    with sqlite_database.read() as session:
        assert get_run(session, sqlite_world.queued_run).state == "cancelled"
        running = get_run(session, sqlite_world.running_run)
    assert (running.state, running.cancel_requested) == ("running", True)
    assert "stops at its next step" in client.get(f"/run/{running.id}").text


def test_a_running_run_is_not_resumed_and_an_ended_one_not_cancelled(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    running = client.post(f"/api/run/{sqlite_world.running_run}/resume")
    assert (running.status_code, "only a cancelled or failed" in running.json()["detail"]) == (
        409,
        True,
    )
    ended = training(sqlite_database, error="broken")
    assert client.post(f"/api/run/{ended}/cancel").status_code == 409


def test_scripts_cancel_and_resume(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    with sqlite_database.write() as session:
        request_cancel(session, sqlite_world.queued_run)
    answer = client.post(f"/api/run/{sqlite_world.queued_run}/resume")
    assert answer.json() == {"run": sqlite_world.queued_run}
    assert client.get(f"/run/{sqlite_world.queued_run}.json").json()["state"] == "queued"


def test_the_json_has_the_points_and_only_new_ones_on_demand(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    run_id = training(sqlite_database)
    run = client.get(f"/run/{run_id}.json").json()
    assert run["points"][0] == {
        "done": 10, "attempt": 1, "nmse": 0.8, "l0": 8, "dead+": 3, "dead-": 5,
    }  # fmt: skip
    newer = client.get(f"/run/{run_id}.json?after=10").json()["points"]
    assert [point["done"] for point in newer] == [50]


def test_a_run_that_does_not_exist_is_said_to_be_missing(client: TestClient):
    answer = client.get("/run/999")
    assert answer.status_code == 404
    assert 'href="/runs"' in answer.text
    assert client.get("/run/999.json").json().keys() == {"detail"}


def test_every_run_is_listed_the_newest_first(
    page: Page, client: TestClient, sqlite_database: Database, sqlite_world: World
):
    run_id = training(sqlite_database, error="the disk is full")
    rows = page("/runs").select("tbody tr")
    listed = client.get("/runs.json").json()["runs"]
    assert [row.a["href"] for row in rows] == [f"/run/{run['id']}" for run in listed]
    cells = [cell.text.strip() for cell in rows[0].select("td")]
    assert cells[0] == f"Training {run_id}"
    assert "sae abstopk" in cells[1]
    assert "/secret" not in cells[1]
    assert cells[2:4] == ["failed", "the disk is full"]
    assert listed[0]["created_at"] == rows[0].time["datetime"]


def test_older_runs_are_a_page_further(
    page: Page, monkeypatch: pytest.MonkeyPatch, sqlite_world: World
):
    every = [row.a.text for row in page("/runs").select("tbody tr")]
    monkeypatch.setattr(run_pages, "PER_PAGE", 1)
    seen, address = [], "/runs"
    while address is not None:
        soup = page(address)
        seen += [row.a.text for row in soup.select("tbody tr")]
        following = soup.select_one("a[rel=next]")
        address = None if following is None else following["href"]
    assert seen == every
    assert len(seen) > 1


def test_the_library_and_a_run_lead_to_the_list(page: Page, sqlite_world: World):
    assert page("/").select_one(".foot a[href='/runs']")
    crumbs = page(f"/run/{sqlite_world.queued_run}").select_one(".crumbs")
    assert [part["href"] for part in crumbs.select("a")] == ["/", "/runs"]
    assert {mark.text for mark in crumbs.select("[aria-hidden]")} == {"›"}
