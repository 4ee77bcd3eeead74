"""What the page asks beside the texts: passed to the worker, with labels where there are any."""

import ast

import pytest
from fastapi.testclient import TestClient

from server.web.worker_client import WorkerUnavailable
from tests.server.web.fake_worker import FakeWorker

EDIT = {"sae": 1, "feature": 0}
BODIES = {
    "/api/shift": {"model": 1, "prompt": "x", "edits": [EDIT], "strengths": [-1, 1]},
    "/api/band": {"model": 1, "prompt": "x", "edit": EDIT, "strengths": [-1, 1]},
    "/api/reread": {"model": 1, "prompt": "x", "edits": [EDIT], "token_ids": [1, 2]},
    "/api/sizes": {"model": 1, "prompt": "x", "edits": [EDIT]},
    "/api/contributions": {"sae": 1, "text": "x", "wanted": "a", "other": "b"},
}


@pytest.mark.parametrize("path", BODIES)
def test_a_question_reaches_the_worker_and_its_answer_comes_back(
    client: TestClient, worker: FakeWorker, path: str
):
    assert client.post(path, json=BODIES[path]).status_code == 200
    assert worker.questions[0][0] == path.removeprefix("/api")


@pytest.mark.parametrize("path", BODIES)
def test_a_full_line_is_429_with_a_sentence_and_when_to_come_back(
    client: TestClient, worker: FakeWorker, path: str
):
    worker.error = WorkerUnavailable("32 requests wait already", 7, 429)
    response = client.post(path, json=BODIES[path])
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json() == {"detail": "32 requests wait already"}


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field_is_refused(client: TestClient, worker: FakeWorker, path: str):
    assert client.post(path, json={**BODIES[path], "extra": 1}).status_code == 422
    assert worker.questions == []


def test_contributions_name_the_features(client: TestClient):
    bars = client.post("/api/contributions", json=BODIES["/api/contributions"]).json()["bars"]
    label = client.get("/sae/1/feature/0.json").json()["label"]
    assert bars[0]["label"] == label
    assert bars[0]["contribution"] == 1.5


def test_rows_name_every_edit_and_exclude_strengths(client: TestClient, worker: FakeWorker):
    body = {"model": 1, "prompt": "x", "edits": [EDIT, EDIT], "max_new_tokens": 2}
    good = client.post("/api/steer", json={**body, "rows": [[1, 2], [None, None]]})
    assert good.status_code == 200
    for rows in ({"rows": [[1]]}, {"rows": [[1, 2]], "strengths": [1]}, {"rows": []}):
        assert client.post("/api/steer", json={**body, **rows}).status_code == 422
    assert len(worker.steers) == 1


def test_the_script_is_python_with_the_request_in_it(client: TestClient):

    text = client.get(
        "/steer.py?sae=1&feature=0&strength=-2&seed=3&prompt=%C3%A9%0A%22%27\\u0041"
    ).text
    tree = ast.parse(text)
    values = {
        node.target.id: ast.literal_eval(node.value)  # type: ignore[attr-defined, arg-type]
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
    }
    assert values["REQUEST"]["prompt"] == "é\n\"'\\u0041"
    assert values["REQUEST"]["seed"] == 3
    assert values["REQUEST"]["edits"][0]["strength"] == -2.0
    assert isinstance(values["MODEL"], str)


def test_the_weights_are_those_of_the_edits_in_their_order(client: TestClient, worker: FakeWorker):
    response = client.get("/steer.safetensors?sae=1&feature=0&edit=3.0.clamp.1")
    assert response.content == b"bytes"
    assert 'filename="steer.safetensors"' in response.headers["content-disposition"]
    path, body = worker.questions[0]
    assert path == "/weights"
    assert [edit.sae for edit in body.edits] == [1, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/steer.py", "/steer.safetensors"])
def test_without_a_feature_there_is_nothing_to_export(client: TestClient, path: str):
    assert "Choose a feature" in client.get(path).text
    assert client.get(path).status_code == 422
