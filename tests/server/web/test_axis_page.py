"""Keeping an axis from the concept page and from a form of its own."""

from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from server.protocol.axis import AxisRequest
from server.store.runs import RunRecord, claim_run, create_run, finish_run, list_runs
from server.store.saes import update_sae
from server.store.session import Database
from tests.builders import World
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker
from tests.server.web.test_concept import ANSWER

PLUS, MINUS = ("\r\n".join(f"{side} day {n}" for n in range(8)) for side in ("hot", "cold"))
FORM = {"name": "heat", "model": "demo", "layer": "1", "plus": PLUS, "minus": MINUS}


def newest(database: Database) -> RunRecord:
    with database.read() as session:
        return list_runs(session, limit=1)[0]


def sent_by(form) -> dict[str, str]:
    """The fields of a form as a browser sends them, untouched."""
    fields = {entry["name"]: entry.get("value", "") for entry in form.select("input")}
    return fields | {entry["name"]: entry.text for entry in form.select("textarea")}


@pytest.fixture
def concept(worker: FakeWorker, page: Page, sqlite_world: World):
    """The form on the concept page for a question."""
    worker.answers["/concept"] = ANSWER

    def ask(**query: str):
        return page(f"/concept?{urlencode({'sae': 1, **query})}").select_one(
            ".concept-card form[action='/axis']"
        )

    return ask


def test_the_lists_of_the_concept_page_become_an_axis_of_its_model_and_layer(
    concept, client: TestClient, sqlite_database: Database
):
    form = concept(a=PLUS, b=MINUS)
    data = sent_by(form) | {"name": "heat", "plus_label": "hot"}
    answer = client.post("/axis", data=data, follow_redirects=False)
    run = newest(sqlite_database)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{run.id}")
    request = AxisRequest.model_validate(run.payload)
    assert (request.layer, request.plus_label, request.minus_label) == (1, "hot", None)
    assert request.plus == [f"hot day {n}" for n in range(8)]
    assert request.minus == [f"cold day {n}" for n in range(8)]


def test_a_contrast_is_kept_by_its_name_with_the_names_of_its_sides(
    concept, client: TestClient, sqlite_database: Database
):
    form = concept(contrast="temperature", a=PLUS)
    client.post("/axis", data=sent_by(form), follow_redirects=False)
    request = AxisRequest.model_validate(newest(sqlite_database).payload)
    assert (request.name, request.contrast, request.plus) == ("temperature", "temperature", [])
    assert (request.plus_label, request.minus_label) == ("hot", "cold")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"plus": "one\ntwo"}, "the list plus has 2 texts, but 8 to 400 are needed"),
        ({"minus": PLUS}, "both lists hold the same texts"),
        ({"name": ""}, "name: it is missing"),
        ({"name": "tiny-abstopk"}, "there is an SAE named 'tiny-abstopk' already"),
        ({"text": "/nowhere.txt"}, "no text file /nowhere.txt"),
    ],
)
@pytest.mark.usefixtures("sqlite_world")
def test_what_makes_no_sense_is_said_at_a_form_that_keeps_what_was_given(
    client: TestClient, sqlite_database: Database, change: dict[str, str], sentence: str
):
    before = newest(sqlite_database)
    answer = client.post("/axis", data=FORM | change)
    soup = BeautifulSoup(answer.text, "html.parser")
    assert answer.status_code == 422
    assert sentence in soup.select_one("[role=alert]").text.lower().replace("sae", "SAE")
    assert soup.select_one("textarea[name=minus]").text.strip() == (FORM | change)["minus"].strip()
    assert newest(sqlite_database) == before


def test_a_script_asks_for_the_same(
    client: TestClient, sqlite_database: Database, sqlite_world: World
):
    body = {"name": "heat", "plus": PLUS.splitlines(), "minus": MINUS.splitlines()}
    run_id = client.post("/api/run/axis", json=body).json()["run"]
    assert (newest(sqlite_database).id, newest(sqlite_database).kind) == (run_id, "axis")
    refused = client.post("/api/run/axis", json=body | {"plus": ["one"]})
    assert (refused.status_code, "8 to 400" in refused.json()["detail"]) == (422, True)


def test_a_finished_run_leads_to_the_axis_and_to_steering_by_it(
    page: Page, sqlite_database: Database, sqlite_world: World
):
    request = AxisRequest(name="heat", plus=PLUS.splitlines(), minus=MINUS.splitlines())
    with sqlite_database.write() as session:
        run = claim_run(session, create_run(session, "axis", request.model_dump(mode="json")))
        assert run is not None
        finish_run(session, run, "done", {"sae": 3, "name": "heat", "feature": 0, "auc": 0.9})
    soup = page(f"/run/{run.id}")
    links = soup.select("section[aria-labelledby=run-result] a")
    assert [(link.text, link["href"]) for link in links] == [
        ("heat", "/sae/3"),
        ("its contexts", "/sae/3/feature/0"),
        ("steer by it", "/steer?sae=3&feature=0"),
    ]
    assert "8 texts" in soup.text
    assert "hot day 1" not in soup.text
    assert "Held-out AUC" in soup.text


def test_the_axis_says_how_well_it_tells_its_texts_apart(
    page: Page, sqlite_database: Database, sqlite_world: World
):
    axis = {
        "side_a": "hot",
        "side_b": "",
        "auc": 0.912,
        "auc_low": 0.8,
        "auc_high": 1.0,
        "texts": 8,
    }
    with sqlite_database.write() as session:
        update_sae(session, sqlite_world.dim, config={"axes": [axis]})
    text = page(f"/sae/{sqlite_world.dim}/feature/0").text
    assert "held-out AUC" in text
    assert "0.912 [0.8" in text
