from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from server.web.worker_client import WorkerUnavailable
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker

A, B = "He was happy", "She was happy"


def address(path: str = "/contrast", **query: object) -> str:
    return f"{path}?{urlencode({'sae': 1, 'mode': 'pair', 'a': A, 'b': B, **query})}"


def test_a_flip_shows_both_signs_in_text(page: Page):
    rows = page(address()).select("table.contrast")[0].select("tbody tr")
    assert rows
    for row in rows:
        mean_a, mean_b = (cell.text for cell in row.select("td.num"))
        assert {mean_a[0], mean_b[0]} == {"+", "−"}


def test_identical_texts_are_said_to_be_the_same(page: Page):
    soup = page(address(b=A))
    assert not soup.select("table.contrast")
    assert "same text" in soup.select_one("#contrast-result").text


def test_each_line_is_a_text_in_mode_ends(page: Page, worker: FakeWorker):
    page(address(mode="ends", a="one\n\ntwo", b="three"))
    assert (worker.contrasts[-1].a, worker.contrasts[-1].b) == (["one", "two"], ["three"])


def test_the_swap_link_exchanges_the_sides(page: Page, client: TestClient):
    link = page(address()).select_one("#contrast-result a[href^='/contrast']")["href"]
    swapped = client.get(link.replace("/contrast?", "/contrast.json?")).json()
    forward = client.get(address("/contrast.json")).json()
    assert [entry["score"] for entry in swapped["flipped"]] == [
        -entry["score"] for entry in forward["flipped"]
    ]


def test_the_json_carries_labels_and_the_csv_the_same_rows(client: TestClient):
    body = client.get(address("/contrast.json")).json()
    lines = client.get(address("/contrast.csv")).text.splitlines()
    assert all("label" in entry for entry in body["flipped"])
    assert len(lines) == 1 + len(body["flipped"]) + len(body["changed"])


def test_a_one_sided_question_asks_no_worker(page: Page, worker: FakeWorker):
    assert page(address(b="")).select(".empty a")
    assert worker.contrasts == []


def test_a_worker_that_is_away_is_a_sentence_on_the_page(client: TestClient, worker: FakeWorker):
    worker.error = WorkerUnavailable()
    response = client.get(address())
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


@pytest.mark.parametrize(
    "query", [{"a": ""}, {"mode": "ends", "a": "\n".join("abc" for _ in range(65))}]
)
def test_a_question_that_cannot_be_asked_is_refused_in_a_sentence(
    client: TestClient, query: dict[str, object]
):
    response = client.get(address("/contrast.json", **query))
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)


def test_markup_in_a_text_is_text(client: TestClient):
    assert "<img src=x" not in client.get(address(a="<img src=x onerror=alert(1)>")).text
