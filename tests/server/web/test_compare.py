import csv
import io

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from server.web.worker_client import WorkerUnavailable
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker


def test_without_a_choice_a_signed_sae_meets_a_one_sided_one(page: Page):
    chosen = page("/compare").select("select option[selected]")
    assert ["AbsTopK" in chosen[0].text, "TopK" in chosen[1].text] == [True, True]
    assert chosen[0]["value"] != chosen[1]["value"]


def test_figures_stand_side_by_side(page: Page):
    heads = [
        head.text for head in page("/compare?a=1&b=2").select("section table")[0].select("th.num")
    ]
    assert [head[:2] for head in heads] == ["A:", "B:"]


def test_a_fragment_links_the_axis_and_both_of_its_pieces(page: Page):
    links = [link["href"] for link in page("/compare?a=1&b=2").select("#fragments tbody tr a")]
    assert links[:3] == ["/sae/2/feature/5", "/sae/1/feature/2", "/sae/2/feature/4"]


def test_a_matched_pair_says_its_sign(page: Page):
    assert page("/compare?a=1&b=2").select_one("#matched tbody td.num").text == "−0.900"


def test_the_json_and_the_csv_hold_what_the_page_shows(client: TestClient):
    body = client.get("/compare.json?a=1&b=2").json()
    assert (body["matched"][0]["a"], body["matched"][0]["b"]) == (2, 3)
    assert body["fragments"][0].keys() >= {"label", "label_plus", "label_minus"}
    rows = list(csv.reader(io.StringIO(client.get("/compare.csv?a=1&b=2").text)))
    assert rows[1][::2] == ["2", "3", "-0.9"]


def test_a_refusal_is_shown_in_the_workers_words(client: TestClient):
    response = client.get("/compare.json?a=1&b=3")
    assert response.status_code == 422
    assert "one layer and model" in response.text


def test_an_unknown_sae_is_a_404(client: TestClient):
    assert client.get("/compare?a=nothing").status_code == 404


def test_a_set_of_axes_is_not_compared_and_nothing_else_in_its_place(client: TestClient):
    for address in ("/compare?a=3", "/compare?a=1&b=3", "/compare?a=3&b=1"):
        reply = client.get(address)
        assert reply.status_code == 422
        assert "set of axes" in reply.text
        assert "Matched features" not in reply.text
    soup = BeautifulSoup(client.get("/compare?a=2&b=3").text, "html.parser")
    chosen = [option["value"] for option in soup.select("option[selected]")]
    assert chosen[0] == "2"
    assert chosen[1] not in ("2", "3")
    assert soup.select("table") == []


def test_a_worker_that_is_away_leaves_the_figures(client: TestClient, worker: FakeWorker):
    worker.error = WorkerUnavailable()
    response = client.get("/compare?a=1&b=2")
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert "nMSE" in response.text


def test_an_empty_library_says_what_is_needed(empty_client: TestClient):
    assert "Two indexed SAEs are needed" in empty_client.get("/compare").text


def test_an_axis_in_two_pieces_is_one_click_from_the_three_side_by_side(page: Page):
    link = page("/compare?a=1&b=2").select_one("#fragments a[href*='view=cards']")
    assert link["href"].startswith("/list?")
    assert "item=2.5&item=1.2&item=2.4" in link["href"]
    cards = page(link["href"]).select(".beside .card-body h2 a")
    assert [card["href"] for card in cards] == ["/sae/1/feature/2"]  # B has no index in this world


def test_features_that_are_not_in_pieces_are_not_counted_but_the_nearest_are_shown(
    page: Page, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.web.compare_view.FRAGMENT_COSINE", 0.9)
    section = page("/compare?a=1&b=2").select_one("#fragments")
    assert "No feature of A" in section.select_one(".notice").text
    assert len(section.select("tbody tr")) == 1


def test_the_fragments_are_a_table_of_their_own(client: TestClient):
    rows = list(
        csv.DictReader(io.StringIO(client.get("/compare.csv?a=1&b=2&table=fragments").text))
    )
    assert [(row["feature_a"], row["minus_b"], row["plus_b"]) for row in rows] == [("2", "5", "4")]
    assert rows[0]["is_found"] == "True"
