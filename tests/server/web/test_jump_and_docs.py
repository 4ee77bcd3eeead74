from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from server.web.api import jump
from server.web.api.jump import Match
from tests.builders import World
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker


def titles(client: TestClient, **query: object) -> list[str]:
    return [match["title"] for match in client.get("/jump.json", params=query).json()["matches"]]


def test_a_number_finds_the_feature_of_this_sae_first(client: TestClient, sqlite_world: World):
    first = client.get("/jump.json", params={"q": "4", "sae": sqlite_world.dim}).json()["matches"][
        0
    ]
    assert first["url"] == f"/sae/{sqlite_world.dim}/feature/4"


def test_a_word_finds_features_by_label(client: TestClient):
    assert any("king ↔ queen" in title for title in titles(client, q="queen"))


def test_saes_and_pages_are_found_by_name(client: TestClient):
    assert "Steer" in titles(client, q="steer")
    assert "tiny-abstopk: map" in titles(client, q="abstopk")


@pytest.mark.parametrize("text", ["feature 4", "Feature  4 "])
def test_the_word_feature_before_a_number_is_not_looked_for(client: TestClient, text: str):
    assert titles(client, q=text) == titles(client, q="4")
    assert any("king ↔ queen" in title for title in titles(client, q="feature king"))


def test_a_concept_is_found_by_its_name(client: TestClient, sqlite_world: World):
    matches = client.get("/jump.json", params={"q": "gend", "sae": sqlite_world.dim}).json()
    url = f"/concept?sae={sqlite_world.abstopk}&contrast=gender"
    assert {"title": "gender", "hint": "concept", "url": url} in matches["matches"]


def test_nothing_typed_lists_saes_and_pages(client: TestClient):
    assert {"Library", "tiny-abstopk"} <= set(titles(client))


@pytest.mark.parametrize(
    ("text", "url"), [("compare", "/compare"), ("concept", "/concept"), ("list", "/list")]
)
def test_every_page_is_found_by_its_name(client: TestClient, text: str, url: str):
    matches = client.get("/jump.json", params={"q": text}).json()["matches"]
    assert url in [match["url"] for match in matches]


def test_pages_come_before_the_features_whose_texts_hold_the_word(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    crowd = (Match(f"{number}  steers", "tiny", f"/sae/1/feature/{number}") for number in range(99))
    monkeypatch.setattr(jump, "_features", lambda *_: crowd)
    found = titles(client, q="steer")
    assert found[0] == "Steer"
    assert len(found) == 1 + jump.MOST_FEATURES


def test_a_feature_found_by_number_and_by_label_is_listed_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    row = SimpleNamespace(feature=4, label="4", matched=["label"])
    monkeypatch.setattr(jump, "_labelled_first", lambda *_: [row])
    urls = [match["url"] for match in client.get("/jump.json", params={"q": "4"}).json()["matches"]]
    assert "/sae/1/feature/4" in urls
    assert len(urls) == len(set(urls))


def test_a_number_beyond_everything_finds_nothing_and_does_not_fail(client: TestClient):
    assert titles(client, q="99999999999999999999") == []


def test_every_operation_is_on_the_docs_page(page: Page, client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    listed = {code.text for code in page("/docs").select(".operation h2 code")}
    assert listed == set(paths)
    assert {"/saes.json", "/sae/{sae}/features.json", "/api/prompt", "/api/steer"} <= listed


def test_the_docs_page_loads_nothing_from_elsewhere(page: Page):
    soup = page("/docs")
    assert all(tag["src"].startswith("/") for tag in soup.select("[src]"))
    assert all(tag["href"].startswith("/") for tag in soup.select("link"))


def test_health_tells_web_from_worker(client: TestClient, worker: FakeWorker):
    assert client.get("/healthz").json() == {"ok": True, "worker": True}
    worker.error = RuntimeError("down")
    assert client.get("/healthz").json() == {"ok": True, "worker": False}
