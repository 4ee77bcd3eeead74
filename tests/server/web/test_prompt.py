import csv
import io
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from server.web.worker_client import WorkerUnavailable
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker, activation

TEXT = "She was\nvery happy"


def address(path: str = "/prompt", **query: object) -> str:
    return f"{path}?{urlencode({'sae': 1, 'text': TEXT, **query})}"


def test_the_heatmap_has_a_column_per_token_and_shows_special_ones_as_such(page: Page):
    heads = page(address()).select(".heatmap thead th")[2:]
    assert [head.text for head in heads] == ["<|endoftext|>", "She", "was", "↵", "very", "happy"]
    assert [head.get("class") for head in heads][:2] == [["special"], None]


def test_every_cell_says_its_sign_in_glyph_class_and_words(page: Page):
    for row in page(address()).select(".heatmap tbody tr"):
        feature = int(row.th.select_one(".faint").text)
        for place, cell in enumerate(row.select("td.cell")):
            value = activation(feature, place)
            kind = next(name for name in cell["class"] if "-" in name)
            if value == 0:
                assert (kind, cell.text) == ("pos-0", "")
            else:
                assert kind.startswith("pos" if value > 0 else "neg")
                assert cell.text.startswith("+plus" if value > 0 else "−minus")


@pytest.mark.parametrize(("rank", "best"), [("abs", 7), ("+", 4), ("-", 7)])
def test_the_rank_is_passed_on_and_shown(page: Page, worker: FakeWorker, rank: str, best: int):
    soup = page(address(rank=rank))
    assert worker.prompts[-1].rank == rank
    assert soup.select_one(f"select[name=rank] option[value='{rank}']").has_attr("selected")


def test_a_token_ranks_by_its_own_values(page: Page, client: TestClient):
    soup = page(address(token=2))
    shown = [int(row.th.select_one(".faint").text) for row in soup.select(".heatmap tbody tr")]
    strengths = [abs(activation(feature, 2)) for feature in shown]
    assert strengths == sorted(strengths, reverse=True)
    assert all(strengths)
    assert soup.select_one("th[aria-current] a").text == "was"


def test_the_json_lists_features_in_the_order_of_the_page(page: Page, client: TestClient):
    shown = [
        int(row.th.select_one(".faint").text)
        for row in page(address(rank="-")).select(".heatmap tbody tr")
    ]
    body = client.get(address("/prompt.json", rank="-")).json()
    assert [entry["feature"] for entry in body["features"]] == shown
    assert body["tokens"] == ["<|endoftext|>", "She", " was", "\n", "very", " happy"]


def test_the_csv_has_one_column_per_token(client: TestClient):
    rows = list(csv.reader(io.StringIO(client.get(address("/prompt.csv")).text)))
    assert rows[0][2:] == ["<|endoftext|>", "She", " was", "\n", "very", " happy"]
    assert float(rows[1][3]) == activation(int(rows[1][0]), 1)


def test_dense_features_are_left_out_on_demand(page: Page, client: TestClient, worker: FakeWorker):
    rows = client.get("/sae/1/features.json?limit=32").json()["features"]
    density = {row["feature"]: sum(row["density"].values()) for row in rows}
    everything = client.get(address("/prompt.json")).json()["features"]
    most = sorted({density[entry["feature"]] for entry in everything})[-2]
    soup = page(address(max_density=most))
    shown = [int(row.th.select_one(".faint").text) for row in soup.select(".heatmap tbody tr")]
    assert shown == [e["feature"] for e in everything if density[e["feature"]] <= most]
    assert 0 < len(shown) < len(everything)
    assert worker.prompts[-1].limit == 200
    assert "at most" in soup.select_one("#prompt-result .section-head").text


def test_a_wanted_feature_comes_first(page: Page, worker: FakeWorker):
    soup = page(address(feature=1))
    assert worker.prompts[-1].features == [1]
    assert soup.select_one(".heatmap tbody .faint").text == "1"


def test_without_a_text_the_worker_is_not_asked(page: Page, worker: FakeWorker):
    assert page("/prompt").select(".empty a")
    assert worker.prompts == []


def test_a_worker_that_is_away_is_a_sentence_on_the_page(client: TestClient, worker: FakeWorker):
    worker.error = WorkerUnavailable()
    response = client.get(address())
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert (
        "probably starting"
        in BeautifulSoup(response.text, "html.parser").select_one("[role=alert]").text
    )


def test_a_refusal_of_the_worker_is_shown_in_its_words(client: TestClient):
    response = client.get(address(text="too long"))
    assert response.status_code == 422
    assert "shorten it" in response.text


def test_post_prompt_keeps_its_contract(client: TestClient):
    body = client.post(
        "/api/prompt", json={"sae": 1, "text": "a b", "features": [3], "limit": 1}
    ).json()
    assert {"tokens", "token_ids", "features"} <= body.keys()
    assert {entry["feature"] for entry in body["features"]} >= {3}
    for entry in body["features"]:
        assert len(entry["activations"]) == len(body["tokens"])


@pytest.mark.parametrize(
    "body",
    [
        {"sae": 1},
        {"sae": 1, "text": ""},
        {"sae": 1, "text": "x", "limit": 0},
        {"sae": 1, "text": "x", "more": 1},
    ],
)
def test_a_bad_request_is_a_sentence(client: TestClient, body: dict):
    response = client.post("/api/prompt", json=body)
    assert response.status_code == 422
    assert response.json().keys() == {"detail"}
    assert isinstance(response.json()["detail"], str)


def test_markup_in_the_prompt_is_text(client: TestClient):
    html = client.get(address(text="<img src=x onerror=alert(1)>")).text
    assert "<img src=x" not in html
