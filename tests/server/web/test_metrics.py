import re

from fastapi.testclient import TestClient

from server.web.worker_client import WorkerUnavailable
from tests.server.web.fake_worker import FakeWorker


def read(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    values = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r'\w+(\{\w+="\w+"\})? \d+', line) for line in values)
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in values)}


def test_metrics_count_what_the_library_shows(client: TestClient):
    figures, saes = read(client), client.get("/saes.json").json()["saes"]
    for state in ("new", "indexing", "ready"):
        expected = sum(sae["state"] == state for sae in saes)
        assert figures[f'dipole_saes{{state="{state}"}}'] == expected


def test_metrics_say_whether_the_worker_answers(client: TestClient, worker: FakeWorker):
    assert read(client)["dipole_worker_up"] == 1
    worker.error = WorkerUnavailable()
    assert read(client)["dipole_worker_up"] == 0


def test_every_figure_says_what_it_is(client: TestClient):
    text = client.get("/metrics").text
    names = set(re.findall(r"^(\w+)[{ ]\S*\d+$", text, re.M)) | set(
        re.findall(r"^(\w+)\{", text, re.M)
    )
    assert names == set(re.findall(r"# HELP (\w+)", text))
