"""The worker over HTTP: answers, refusals, streams, and what a closed connection leaves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from server.protocol import TrainRequest
from server.settings import Settings
from server.store.migrate import migrate
from server.store.session import Database
from server.worker.app import create_app
from server.worker.progress import TaskContext
from server.worker.tasks import TASKS
from tests.models.tiny import TEXTS, save_tiny_lm


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("worker")
    model = save_tiny_lm(folder / "model")
    text = folder / "text.txt"
    text.write_text("\n\n".join(f"{a} {b}" for a in TEXTS for b in TEXTS))
    settings = Settings.read({}, data_dir=folder / "data")
    migrate(settings.database_url)
    database = Database(settings.database_url)
    request = TrainRequest(
        model=str(model), layer=1, text=str(text), width=32, k=4, tokens=1_000, name="tiny"
    )
    list(TASKS["train"][1](TaskContext(settings, database), request))
    database.dispose()
    with TestClient(create_app(settings)) as client:
        yield client


def steer_body(client: TestClient, **changes: object) -> dict:
    return {
        "model": 1,
        "prompt": "The boy",
        "edits": [{"sae": "tiny", "feature": 3}],
        "strengths": [-50, 0, 50],
        "max_new_tokens": 6,
        **changes,
    }


def read_events(text: str) -> list[tuple[str, dict]]:
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


def test_it_says_that_it_is_there(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"ok": True}


def test_a_prompt_is_answered_with_its_tokens(client: TestClient) -> None:
    answer = client.post("/prompt", json={"sae": "tiny", "text": "The girl ran."})
    assert answer.status_code == 200
    body = answer.json()
    assert "".join(body["tokens"][1:]) == "The girl ran."
    assert all(len(item["activations"]) == len(body["tokens"]) for item in body["features"])


def test_steering_streams_tokens_of_all_rows_and_one_end_each(client: TestClient) -> None:
    answer = client.post("/steer", json=steer_body(client))
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = read_events(answer.text)
    ends = [data["row"] for name, data in events if name == "end"]
    assert sorted(ends) == [0, 1, 2]
    for row in range(3):
        indices = [data["index"] for name, data in events if name == "token" and data["row"] == row]
        assert indices == list(range(len(indices)))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/prompt", {"sae": "absent", "text": "x"}, "no SAE"),
        ("/prompt", {"sae": "tiny", "text": "word " * 500}, "shorten the text"),
        ("/prompt", {"sae": "tiny", "text": "x", "features": [99]}, "out of range"),
        ("/steer", {"model": "absent", "prompt": "x"}, "no model"),
        ("/steer", {"model": 1, "prompt": "x", "edits": [{"sae": "tiny", "feature": 99}]}, "range"),
        ("/steer", {"model": 1, "prompt": "x " * 90, "max_new_tokens": 100}, "fewer new tokens"),
    ],
)
def test_bad_input_is_a_422_with_a_sentence(
    client: TestClient, path: str, body: dict, words: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("strength", ["NaN", "Infinity", "1e9"])
def test_strengths_beyond_reason_are_refused(client: TestClient, strength: str) -> None:
    content = (
        '{"model": 1, "prompt": "x", "edits": [{"sae": "tiny", "feature": 1, "strength": %s}]}'
    )
    answer = client.post(
        "/steer", content=content % strength, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422


def test_with_a_token_only_its_holder_is_answered(tmp_path: Path) -> None:
    settings = Settings.read({}, data_dir=tmp_path)
    migrate(settings.database_url)
    body = {"sae": "absent", "text": "x"}
    with TestClient(create_app(settings, "secret")) as client:
        assert client.post("/prompt", json=body).status_code == 401
        assert client.get("/healthz").status_code == 200
        wrong = client.post("/prompt", json=body, headers={"authorization": "Bearer wrong"})
        right = client.post("/prompt", json=body, headers={"authorization": "Bearer secret"})
    assert (wrong.status_code, right.status_code) == (401, 422)
