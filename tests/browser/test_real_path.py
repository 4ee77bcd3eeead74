"""Nothing faked: the shipped model, SAE and axes behind `dipole serve`, from library to steering."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from server.settings import Settings
from server.store.migrate import migrate
from server.store.session import Database
from tests.browser.conftest import Watched

TOKENS = 12_000
WATCH_TOKENS = """() => {
  window.counts = [];
  const output = document.querySelector(".column-plus [data-role=output]");
  const count = () => window.counts.push(output.querySelectorAll("span").length);
  new MutationObserver(count).observe(output, {childList: true, subtree: true});
}"""
START_SECONDS = 120
PATIENT = 180_000
"""Milliseconds: a concept is answered and a text indexed while other tests use the machine."""


@pytest.fixture(scope="module")
def real_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`dipole serve` over the demo's first tokens; yields its address."""
    settings = Settings.read({}, data_dir=tmp_path_factory.mktemp("real"))
    _make_demo(settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "server", "serve", "--json", "--port", str(port)]
    environment = {**os.environ, **settings.environment(), "DIPOLE_PORT": str(port)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        try:
            _wait_for_worker(url)
            yield url
        finally:
            server.terminate()
            server.wait(START_SECONDS)


def _make_demo(settings: Settings) -> None:
    from server.worker.indexing import Indexing
    from server.worker.library import DEMO, DEMO_TEXT, load_model, open_corpus
    from server.worker.progress import TaskContext
    from server.worker.task_demo import enter_demo_sae
    from server.worker.task_index import target_of
    from server.worker.task_map import map_sae

    migrate(settings.database_url)
    database = Database(settings.database_url)
    context = TaskContext(settings, database)
    lm, model_id = load_model(database, DEMO)
    corpus = open_corpus(database, lm, model_id, DEMO_TEXT, TOKENS)
    records = [enter_demo_sae(context, lm, model_id, name) for name in ("abstopk", "axes")]
    indexing = Indexing(database, lm, [target_of(context, record) for record in records], corpus)
    for _ in indexing.advance(len(corpus.windows)):
        pass
    for _ in indexing.publish():
        pass
    for target in indexing.targets:
        map_sae(database, target.sae_id, target.sae, "axis", seed=0)
    database.dispose()


def _wait_for_worker(url: str) -> None:
    import time

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            if json.load(answer)["worker"]:
                return
        time.sleep(0.2)
    raise AssertionError("the worker did not come up")


@pytest.fixture
def real_page(
    real_site: str, watched: Watched, new_context: Callable[..., BrowserContext]
) -> Iterator[Page]:
    page = new_context(base_url=real_site).new_page()
    watched.follow(page, real_site)
    yield page
    assert page.evaluate("window.violations ?? []") == []
    assert watched.problems == []


def texts(page: Page) -> dict[str, str]:
    expect(page.locator("[data-role=columns]")).to_have_attribute(
        "aria-busy", "false", timeout=60_000
    )
    return {
        name: page.locator(f".column-{name} [data-role=output]").inner_text()
        for name in ("minus", "zero", "plus")
    }


def test_the_library_leads_to_a_feature_with_contexts_on_both_poles(real_page: Page) -> None:
    real_page.goto("/")
    expect(real_page.get_by_text("demo-abstopk").first).to_be_visible()
    features = real_page.request.get("/sae/1/features.json?limit=200").json()["features"]
    two_sided = [row for row in features if min(row["max"]["+"], -row["max"]["-"]) > 0]
    assert len(two_sided) >= 30
    full = 0
    for row in two_sided[:40]:
        poles = real_page.request.get(f"/sae/1/feature/{row['feature']}.json").json()["poles"]
        full += min(len(pole["contexts"]) for pole in poles.values()) >= 20
    assert full >= 30
    real_page.goto("/sae/1/feature/3")
    expect(real_page.locator("h1")).to_contain_text("↔")


def test_a_prompt_shows_the_gender_axis_with_both_signs(real_page: Page) -> None:
    answers = {}
    for text in ("She took her doll to the queen.", "He took his truck to the king."):
        body = {"sae": "demo-axes", "text": text, "features": [0]}
        reply = real_page.request.post("/api/prompt", data=body)
        assert reply.ok, reply.text()
        answers[text] = reply.json()["features"][0]["activations"]
    female, male = answers.values()
    assert sum(female) > 0 > sum(male)
    real_page.goto("/prompt?sae=1&text=The+little+girl+ran+home.")
    expect(real_page.get_by_text("girl").first).to_be_visible()


def test_the_gender_axis_comes_first_on_a_minimal_pair_and_its_sign_flips(real_page: Page) -> None:
    address = "/contrast.json?sae=demo-axes&mode=pair&a=He+was+a+good+boy.&b=She+was+a+good+girl."
    first = real_page.request.get(address).json()["flipped"][0]
    assert first["feature"] == 0
    assert first["mean_a"] < 0 < first["mean_b"]


def test_moving_the_slider_to_either_side_changes_the_text_and_zero_does_not(
    real_page: Page,
) -> None:
    address = "/steer?sae=2&feature=0&prompt=Once+upon+a+time+there+was&seed=5&tokens=24&strength="
    real_page.goto(address + "0")
    plain = texts(real_page)
    assert len(set(plain.values())) == 1
    real_page.evaluate(WATCH_TOKENS)
    slider = real_page.locator("#slider")
    slider.focus()
    slider.press("End")
    columns = real_page.locator("[data-role=columns]")
    expect(columns).to_have_attribute("aria-busy", "true")
    pushed = texts(real_page)
    assert pushed["zero"] == plain["zero"]
    assert pushed["plus"] != plain["plus"]
    assert pushed["minus"] != plain["minus"]
    assert pushed["plus"] != pushed["minus"]
    counts = real_page.evaluate("window.counts")
    grown = [after - before for before, after in pairwise([0, *counts]) if after > before]
    assert len(grown) >= 12, f"tokens must arrive one by one, not {grown}"
    real_page.goto(real_page.url)
    assert texts(real_page) == pushed, "the link must reproduce the text"


def test_the_map_shows_every_live_feature(real_page: Page) -> None:
    points = real_page.request.get("/sae/1/map.json").json()
    assert points["metric"] == "axis"
    real_page.goto("/sae/1/map")
    expect(real_page.locator(".js-plotly-plot")).to_be_visible(timeout=60_000)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("get", "/sae/99", None, 404, "library"),
        ("get", "/sae/1/feature/99999", None, 404, "feature"),
        ("post", "/api/prompt", {"sae": 99, "text": "x"}, 404, "SAE"),
        ("post", "/api/prompt", {"sae": 1, "text": "ball " * 3000}, 422, "shorten"),
        ("post", "/api/steer", {"model": "absent", "prompt": "x"}, 404, "model"),
    ],
)
def test_bad_input_is_a_sentence(
    real_page: Page, method: str, path: str, body: dict | None, status: int, words: str
) -> None:
    reply = getattr(real_page.request, method)(path, **({"data": body} if body else {}))
    assert reply.status in (status, 422), reply.text()
    assert words in reply.text()
    assert "Traceback" not in reply.text()
    assert Path(__file__).name not in reply.text()


def test_an_axis_from_two_lists_is_kept_and_steered_by(real_page: Page) -> None:
    real_page.set_default_timeout(PATIENT)
    things = ("soup", "sun", "stove", "day", "fire", "sand", "milk", "bath")
    real_page.goto("/concept?sae=1", timeout=PATIENT)
    for side, word in (("a", "hot"), ("b", "cold")):
        texts_of_side = "\n".join(f"The {thing} was very {word}." for thing in things)
        real_page.locator(f"#texts-{side}").fill(texts_of_side)
    real_page.get_by_role("button", name="Compare").click()
    card = real_page.locator(".concept-card", has_text="Difference-in-Mean")
    auc = card.locator(".figure-large").inner_text()
    card.get_by_text("Keep this axis").click()
    card.get_by_label("Name").fill("heat")
    card.get_by_label("− pole").fill("cold things")
    card.get_by_label("+ pole").fill("hot things")
    card.get_by_role("button", name="Keep it").click()
    real_page.wait_for_url("**/run/*")
    expect(real_page.locator("[data-state=done]")).to_be_visible(timeout=PATIENT)
    real_page.get_by_role("link", name="its contexts").click()
    expect(real_page.locator("h1")).to_contain_text("cold things")
    expect(real_page.locator(".facts").first).to_contain_text(auc.split(" ")[0])
    feature = real_page.request.get(f"{real_page.url}.json").json()
    assert min(len(pole["contexts"]) for pole in feature["poles"].values()) > 0
    real_page.get_by_role("link", name="Steer", exact=True).last.click()
    slider = real_page.locator("#slider")
    slider.focus()
    slider.press("End")
    pushed = texts(real_page)
    assert len(set(pushed.values())) == 3
    expect(real_page.locator(".column-plus")).to_contain_text("hot things")
