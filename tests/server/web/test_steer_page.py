import json

import pytest
from fastapi.testclient import TestClient

from server.web.worker_client import WorkerUnavailable
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker

BODY = {
    "model": 1,
    "prompt": "Once",
    "edits": [{"sae": 1, "feature": 0}],
    "strengths": [-2, 0, 2],
    "max_new_tokens": 4,
}


def state(soup) -> dict:
    return json.loads(soup.select_one("script[type='application/json']").string)


def test_the_page_starts_from_what_the_address_says(page: Page):
    found = state(
        page("/steer?sae=1&feature=0&strength=-1.5&seed=7&temperature=0.5&prompt=Hello&tokens=9")
    )
    assert (
        found["strength"],
        found["seed"],
        found["temperature"],
        found["prompt"],
        found["tokens"],
    ) == (-1.5, 7, 0.5, "Hello", 9)


def test_the_slider_is_calibrated_by_the_pole_the_strength_is_on(page: Page, client: TestClient):
    poles = client.get("/sae/1/feature/0.json").json()["poles"]
    strength = 2 * poles["-"]["quantile_999"]
    slider = page(f"/steer?sae=1&feature=0&strength={strength}").select_one("#slider")
    assert float(slider["value"]) == -2


def test_a_missing_pole_closes_its_side_and_says_why(page: Page):
    soup = page("/steer?sae=1&feature=1")
    assert float(soup.select_one("#slider")["min"]) == 0
    assert "no scale" in soup.select_one(".column-minus [data-role=note]").text


def test_a_slider_of_one_pole_starts_at_its_zero(page: Page):
    ends = [end.text for end in page("/steer?sae=1&feature=1").select(".slider-ends span")]
    assert page("/steer?sae=1&feature=1").select_one(".slider.no-minus:not(.no-plus)")
    assert ends[0] == "0"
    assert ends[-1].endswith(" +")
    both = page("/steer?sae=1&feature=0")
    assert not both.select(".slider.no-minus, .slider.no-plus")
    assert both.select_one(".slider-ends span").text.startswith("− ")


def test_axes_are_steered_like_features(page: Page):
    found = state(page("/steer?sae=3&feature=0"))
    assert found["poles"]["+"]["label"] == "female"


def test_only_axes_are_offered_since_features_were_found_by_reading(page: Page):
    links = [link["href"] for link in page("/steer").select(".start")]
    assert links
    assert all(link.startswith("/steer?sae=3&") for link in links)


def test_a_feature_that_was_found_by_reading_says_so_and_where_steering_is_measured(page: Page):
    note = page("/steer?sae=1&feature=0").select_one("[data-role=read-for]")
    assert "measured for reading, not for steering" in note.text
    assert note.a["href"] == "/concept?sae=1&contrast=gender"
    assert page("/steer?sae=1&feature=4").select_one("[data-role=read-for]") is None
    assert page("/steer?sae=3&feature=0").select_one("[data-role=read-for]") is None


def test_a_bare_page_offers_axes_to_start_with_and_keeps_the_prompt(page: Page):
    soup = page("/steer?prompt=Hello")
    links = [link["href"] for link in soup.select(".start")]
    assert "/steer?sae=3&feature=0&prompt=Hello" in [link.split("&seed")[0] for link in links]
    assert [badge.text for badge in soup.select_one(".start").select(".badge")] == [
        "− male",
        "female +",
    ]
    assert not soup.select(".column")
    assert not page("/steer?sae=3&feature=0").select(".start")


def test_a_feature_that_is_not_there_is_a_sentence(page: Page):
    assert (
        "no indexed feature 30" in page("/steer?sae=3&feature=30").select_one("[role=alert]").text
    )


def test_the_json_twin_has_the_state_of_the_page(page: Page, client: TestClient):
    query = "sae=1&feature=0&strength=1&prompt=%3C/script%3E"
    assert client.get(f"/steer.json?{query}").json() == state(page(f"/steer?{query}"))


def test_without_scripts_the_page_says_that_streaming_needs_them(page: Page):
    assert "JavaScript" in page("/steer?sae=1&feature=0").select_one("noscript").text


@pytest.mark.parametrize(
    "query", ["strength=nan", "strength=1e9", "seed=-1", "temperature=9", "tokens=0"]
)
def test_values_out_of_range_are_refused(client: TestClient, query: str):
    response = client.get(f"/steer.json?sae=1&feature=0&{query}")
    assert response.status_code == 422
    assert query.split("=")[0] in response.json()["detail"]


def test_the_stream_passes_every_event_on(client: TestClient, worker: FakeWorker):
    response = client.post("/api/steer", json=BODY)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [block for block in response.text.split("\n\n") if block]
    assert sum(block.startswith("event: token") for block in events) == 12
    assert sum(block.startswith("event: end") for block in events) == 3
    assert worker.steers[0].strengths == [-2, 0, 2]
    assert worker.streams[0].closed


def test_a_worker_that_is_away_answers_503_before_the_stream(
    client: TestClient, worker: FakeWorker
):
    worker.error = WorkerUnavailable(retry_after=9)
    response = client.post("/api/steer", json=BODY)
    assert (response.status_code, response.headers["retry-after"]) == (503, "9")
    assert "detail" in response.json()


@pytest.mark.parametrize(
    "change",
    [
        {"strengths": [float("1e7")]},
        {"edits": []},
        {"temperature": 99},
        {"max_new_tokens": 100000},
        {"prompt": ""},
    ],
)
def test_a_bad_request_never_reaches_the_worker(
    client: TestClient, worker: FakeWorker, change: dict
):
    response = client.post("/api/steer", json={**BODY, **change})
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)
    assert worker.steers == []
