from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from server.protocol import TrainRequest
from server.protocol.files import ImportRequest
from server.settings import Settings
from server.store.runs import RunRecord, list_runs
from server.store.session import Database
from server.web.app import create_app
from tests.builders import World
from tests.server.web.conftest import ORIGIN, Page
from tests.server.web.fake_worker import FakeWorker

FORM = {"model": "demo", "sae": "abstopk", "width": "256", "k": "16", "tokens": "5000", "seed": "3"}


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "story.txt"
    path.write_text("Once upon a time.")
    return str(path)


def newest(database: Database) -> RunRecord:
    with database.read() as session:
        return list_runs(session, limit=1)[0]


def runs(database: Database) -> int:
    with database.read() as session:
        return len(list_runs(session))


def test_the_form_offers_what_the_library_has_and_the_usual_values(page: Page):
    soup = page("/train")
    assert soup.select_one("input[name=width]")["value"] == "1024"
    assert soup.select_one("#models option")["value"] == "demo"
    assert soup.select_one("details").get("open") is None


def test_a_training_is_queued_and_its_page_opens(
    client: TestClient, sqlite_database: Database, text: str
):
    answer = client.post("/train", data=FORM | {"text": text}, follow_redirects=False)
    run = newest(sqlite_database)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{run.id}")
    assert (run.kind, run.state) == ("train", "queued")
    request = TrainRequest.model_validate(run.payload)
    assert (request.width, request.k, request.seed, request.text) == (256, 16, 3, text)


def test_the_demo_text_is_a_file_of_the_server(client: TestClient, sqlite_database: Database):
    client.post("/train", data=FORM | {"text": "demo"}, follow_redirects=False)
    assert Path(newest(sqlite_database).payload["text"]).is_file()


def test_lists_and_boxes_arrive_as_such(client: TestClient, sqlite_database: Database, text: str):
    more = {
        "sae": ["abstopk", "vsae"],
        "k": "16,32",
        "prefixes": "64,256",
        "no_sample": "true",
        "token_bias": "true",
    }
    client.post("/train", data=FORM | more | {"text": text}, follow_redirects=False)
    request = TrainRequest.model_validate(newest(sqlite_database).payload)
    assert (request.sae, request.k) == (["abstopk", "vsae"], [16, 32])
    assert (request.prefixes, request.sample, request.token_bias) == ([64, 256], False, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"k": "512"}, "K 512 is larger than width 256: choose a smaller k"),
        ({"width": "many"}, "width: "),
        ({"text": "/nowhere/story.txt"}, "No text file /nowhere/story.txt: check text"),
        ({"text": "-"}, "no standard input"),
        ({"text": ""}, "text: it is missing"),
        ({"model": "/nowhere"}, "There is no language model in the folder /nowhere"),
        ({"sae": "relu", "precision": "candidates"}, "Precision has no meaning"),
        ({"name": 150 * "é"}, "has 300 bytes"),
        ({"sparsity_weight": "1"}, "Sparsity weight has no meaning"),
        ({"colour": "red"}, "there is no such field"),
    ],
)
def test_what_makes_no_sense_is_said_at_the_form_and_not_entered(
    client: TestClient, sqlite_database: Database, text: str, change: dict[str, str], sentence: str
):
    from bs4 import BeautifulSoup

    before = runs(sqlite_database)
    answer = client.post("/train", data=FORM | {"text": text} | change)
    soup = BeautifulSoup(answer.text, "html.parser")
    alert = soup.select_one("[role=alert]").text
    assert answer.status_code == 422
    assert sentence.lower() in alert.lower()
    assert "--" not in alert
    assert soup.select_one("input[name=tokens]")["value"] == "5000"
    assert runs(sqlite_database) == before


@pytest.mark.parametrize("path", ["/train", "/import", "/run/1/cancel", "/run/1/resume"])
def test_another_site_cannot_begin_or_end_anything(
    client: TestClient, sqlite_database: Database, path: str
):
    before = runs(sqlite_database)
    answer = client.post(path, data=FORM, headers={"origin": "https://evil.example"})
    assert (answer.status_code, runs(sqlite_database)) == (403, before)


def test_an_import_is_queued_with_its_folder(
    client: TestClient, sqlite_database: Database, tmp_path: Path
):
    form = {"source": str(tmp_path), "model": "demo", "layer": "2"}
    answer = client.post("/import", data=form, follow_redirects=False)
    run = newest(sqlite_database)
    assert answer.headers["location"] == f"/run/{run.id}"
    request = ImportRequest.model_validate(run.payload)
    assert (request.source, request.layer, request.text) == (str(tmp_path), 2, None)


def test_an_import_of_nothing_is_not_one_of_where_the_server_stands(client: TestClient):
    answer = client.post("/api/run/import", json={"source": " ", "model": "demo"})
    assert answer.status_code == 422
    assert "the SAE is not named" in answer.json()["detail"]


def test_a_form_may_send_a_k_that_no_sparsifier_needs(client: TestClient, text: str):
    form = FORM | {"text": text, "sae": "relu"}
    assert client.post("/train", data=form, follow_redirects=False).status_code == 303


def test_an_import_of_a_folder_that_is_not_there_is_refused(client: TestClient):
    answer = client.post("/import", data={"source": "/nowhere", "model": "demo"})
    assert answer.status_code == 422
    assert "There is no SAE in the folder /nowhere" in answer.text


def test_the_library_leads_to_both_forms_and_to_the_runs(page: Page):
    links = {link["href"] for link in page("/").select("main a")}
    assert {"/train", "/import"} <= links
    assert any(link.startswith("/run/") for link in links)


def test_a_script_begins_a_run_with_json(client: TestClient, sqlite_database: Database, text: str):
    answer = client.post("/api/run/train", json={"text": text, "width": 64, "k": 8})
    assert answer.json() == {"run": newest(sqlite_database).id}
    refused = client.post("/api/run/train", json={"text": text, "width": 4, "k": 8})
    assert (refused.status_code, "larger than width" in refused.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("text", "~nosuchuser/x"),
        ("text", "/" + "x" * 5_000),
        ("text", "a\0b"),
        ("model", "~nosuchuser/x"),
        ("model", "/" + "x" * 5_000),
    ],
)
def test_what_no_file_can_be_called_is_refused(
    client: TestClient, text: str, field: str, place: str
):
    answer = client.post("/api/run/train", json={"text": text, "width": 64, "k": 8, field: place})
    assert answer.status_code == 422


@pytest.fixture
def shared(settings: Settings, sqlite_world: World, tmp_path: Path) -> Iterator[TestClient]:
    """A server that others use, which keeps its data in one folder and lends another."""
    for name in ("data", "lent", "own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "story.txt").write_text("Once upon a time.")
    (tmp_path / "data" / "link.txt").symlink_to(tmp_path / "own" / "story.txt")
    there = replace(
        settings, token="secret", data_dir=tmp_path / "data", roots=str(tmp_path / "lent")
    )
    headers = {"authorization": "Bearer secret"}
    with TestClient(create_app(there, FakeWorker()), base_url=ORIGIN, headers=headers) as client:
        yield client


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("data/story.txt", 200),
        ("lent/story.txt", 200),
        ("own/story.txt", 422),
        ("data/../own/story.txt", 422),
        ("data/link.txt", 422),
    ],
)
def test_on_a_shared_server_files_are_named_only_where_they_are_for_all(
    shared: TestClient, tmp_path: Path, place: str, status: int
):
    body = {"text": str(tmp_path / place), "width": 64, "k": 8}
    answer = shared.post("/api/run/train", json=body)
    assert answer.status_code == status
    assert status == 200 or "outside of the data directory" in answer.json()["detail"]


def test_on_a_shared_server_folders_are_named_only_where_they_are_for_all(
    shared: TestClient, tmp_path: Path
):
    (tmp_path / "own" / "config.json").write_text("{}")
    own = str(tmp_path / "own")
    for body in ({"model": own, "text": "demo"}, {"text": f"hf:{own}"}):
        answer = shared.post("/api/run/train", json={"width": 64, "k": 8, **body})
        assert answer.status_code == 422
    answer = shared.post("/api/run/import", json={"source": own, "model": "demo", "layer": 2})
    assert answer.status_code == 422


@pytest.mark.parametrize(("kind", "fields"), [("index", {"tokens": "500"}), ("map", {"seed": "3"})])
def test_an_sae_is_indexed_and_mapped_again_from_its_page(
    page: Page,
    client: TestClient,
    sqlite_world: World,
    sqlite_database: Database,
    text: str,
    kind: str,
    fields: dict[str, str],
):
    form = page(f"/sae/{sqlite_world.abstopk}").select_one(f"form[action$='/{kind}']")
    named = {field["name"] for field in form.select("[name]")}
    given = {"text": text, "metric": "directed", **fields}
    sent = {name: value for name, value in given.items() if name in named}
    assert fields.items() <= sent.items()
    answer = client.post(form["action"], data=sent, follow_redirects=False)
    run = newest(sqlite_database)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{run.id}")
    assert (run.kind, run.state) == (kind, "queued")
    sae = str(sqlite_world.abstopk)
    expected = (
        {"saes": [sae], "text": text, "tokens": 500}
        if kind == "index"
        else {"sae": sae, "metric": "directed", "seed": 3}
    )
    assert {name: run.payload[name] for name in expected} == expected


def test_an_index_over_a_text_that_is_not_there_says_so(client: TestClient, sqlite_world: World):
    answer = client.post(f"/sae/{sqlite_world.abstopk}/index", data={"text": "/no/such.txt"})
    assert answer.status_code == 422
    assert "/no/such.txt" in answer.text
