import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from server.settings import Settings
from server.web.app import create_app
from server.web.errors import sentence_of
from server.web.worker_client import WorkerUnavailable
from tests.builders import World
from tests.server.web.fake_worker import FakeWorker


def test_a_page_that_is_not_there_is_a_page_with_a_way_back(client: TestClient):
    response = client.get("/nowhere")
    soup = BeautifulSoup(response.text, "html.parser")
    assert response.status_code == 404
    assert soup.select_one("main a[href='/']") is not None


@pytest.mark.parametrize("path", ["/nowhere.json", "/nowhere.csv", "/api/nowhere"])
def test_a_script_gets_its_error_as_json(client: TestClient, path: str):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json().keys() == {"detail"}


def test_a_page_with_bad_parameters_is_a_sentence_not_a_list(client: TestClient):
    response = client.get("/sae/1/feature/zebra")
    assert response.status_code == 422
    assert "feature: it should be a whole number, not “zebra”." in response.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=5000", "limit: it should be at most 1000."),
        ("limit=0", "limit: it should be at least 1."),
        ("min_balance=much", "min_balance: it should be a number, not “much”."),
        ("min_balance=nan", "min_balance: it should be a finite number."),
        ("two_sided=maybe", "two_sided: it should be 1 or 0, not “maybe”."),
        (f"search={'x' * 300}", "search: it should have at most 200 characters."),
        ("order=up", "order: it should be '', 'asc' or 'desc'."),
    ],
)
def test_what_a_field_should_be_is_said(client: TestClient, query: str, sentence: str):
    assert client.get(f"/sae/1/features.json?{query}").json() == {"detail": sentence}


def test_a_fault_of_ours_is_a_sentence_with_the_usual_headers(
    settings: Settings, sqlite_world: World
):
    app = create_app(settings, FakeWorker())
    del app.state.database
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    response = client.get("/saes.json")
    assert response.status_code == 500
    assert "log" in response.json()["detail"]
    assert "content-security-policy" in response.headers


def test_trying_again_asks_the_same_question(client: TestClient, worker: FakeWorker):
    worker.error = WorkerUnavailable()
    address = "/steer.safetensors?sae=1&feature=0"
    soup = BeautifulSoup(client.get(address).text, "html.parser")
    assert soup.find("a", string="Try again")["href"] == address


def test_a_method_that_is_not_offered_is_405(client: TestClient):
    assert client.post("/saes.json").status_code == 405


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            {"type": "missing", "loc": ("body", "text"), "msg": "Field required"},
            "text: it is missing.",
        ),
        (
            {"type": "extra_forbidden", "loc": ("body", "x"), "msg": ""},
            "x: there is no such field.",
        ),
        ({"type": "json_invalid", "loc": ("body", 3), "msg": "?"}, "The body is not valid JSON."),
        (
            {"type": "value_error", "loc": ("body",), "msg": "Value error, strengths needs edits"},
            "Strengths needs edits.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(error: dict, sentence: str):
    assert sentence_of([error]) == sentence
