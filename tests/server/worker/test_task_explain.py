"""Features in the words of a model behind an endpoint: real HTTP, a real index, a model with a rule."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.explain.prompts import Question
from server.protocol.explain import ExplainRequest
from server.store.explanations import ExplanationRecord, get_explanation
from server.store.migrate import migrate
from server.store.session import Database
from server.worker.endpoint import ATTEMPTS, Endpoint
from server.worker.progress import Progress, RunInterrupted, TaskContext, TaskFailed
from server.worker.tasks import TASKS
from tests.server.worker.explain_case import make_case
from tests.server.worker.fake_endpoint import FakeEndpoint, exchanging, fake_endpoint


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskContext]:
    """The SAE `words` of `explain_case`, indexed."""
    folder = tmp_path_factory.mktemp("explain")
    url = f"sqlite:///{folder / 'dipole.db'}"
    migrate(url)
    database = Database(url)
    yield make_case(folder, database, url)
    database.dispose()


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with fake_endpoint() as fake:
        yield fake


def explain(context: TaskContext, endpoint: FakeEndpoint, **changes: Any) -> Progress:
    values = {"sae": "words", "features": [0], "endpoint": endpoint.url, "model": "rule"} | changes
    *_, last = TASKS["explain"][1](context, ExplainRequest(**values))
    return last


def stored(context: TaskContext, model: str, feature: int = 0) -> ExplanationRecord | None:
    with context.database.read() as session:
        found = get_explanation(session, 1, feature)
    return found if found is not None and found.model == model else None


def test_a_model_that_reads_the_prompt_scores_high_on_both_poles(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    last = explain(indexed, endpoint, model="good")
    found = stored(indexed, "good")
    assert last.result == {"sae": 1, "explained": [0], "skipped": 0, "model": "good"}
    assert found is not None
    assert {found.text_pos, found.text_neg} == {"girl", "boy"}
    assert found.detection_pos is not None
    assert found.detection_neg is not None
    assert min(found.detection_pos, found.detection_neg) > 0.8
    assert found.sign is not None
    assert found.sign > 0.9
    assert found.sign_swapped is not None
    assert found.sign_swapped < 0.1
    assert found.contexts >= 24


def test_exchanged_poles_score_below_chance(indexed: TaskContext, endpoint: FakeEndpoint) -> None:
    endpoint.model = exchanging
    explain(indexed, endpoint, model="exchanging")
    found = stored(indexed, "exchanging")
    assert found is not None
    assert found.sign is not None
    assert found.sign < 0.1
    assert found.detection_pos is not None
    assert found.detection_pos <= 0.5


def test_what_is_explained_is_not_asked_again(indexed: TaskContext, endpoint: FakeEndpoint) -> None:
    explain(indexed, endpoint, model="twice")
    asked = len(endpoint.asked)
    assert asked == 5
    assert explain(indexed, endpoint, model="twice").result == {
        "sae": 1, "explained": [], "skipped": 1, "model": "twice",
    }  # fmt: skip
    assert len(endpoint.asked) == asked
    explain(indexed, endpoint, model="twice", again=True)
    assert len(endpoint.asked) == 2 * asked


def test_the_key_is_sent_and_not_stored(
    indexed: TaskContext, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    explain(indexed, endpoint, model="keyed", api_key_env="SOME_KEY")
    assert set(endpoint.keys) == {"Bearer secret"}
    with pytest.raises(ValueError, match="OTHER_KEY is not set"):
        explain(indexed, endpoint, model="keyed", api_key_env="OTHER_KEY")


def test_an_answer_that_cannot_be_read_is_an_error_and_nothing_is_stored(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    endpoint.model = lambda _: "I like turtles."
    with pytest.raises(TaskFailed, match="0 features were explained and stored, 1 were not"):
        explain(indexed, endpoint, model="garbage")
    assert stored(indexed, "garbage") is None


def test_garbage_in_the_last_test_leaves_no_half_of_a_score(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    good = endpoint.model
    endpoint.model = lambda prompt: good(prompt) if len(endpoint.asked) < 5 else "hm"
    with pytest.raises(TaskFailed):
        explain(indexed, endpoint, model="late garbage")
    assert stored(indexed, "late garbage") is None


def test_an_endpoint_that_fails_is_an_error_and_nothing_is_stored(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    endpoint.refuses_always = (500, "broken")
    with pytest.raises(TaskFailed, match=r"answers 500 \(broken\) after 5 attempts"):
        explain(indexed, endpoint, model="refusing")
    assert len(endpoint.asked) == ATTEMPTS
    assert stored(indexed, "refusing") is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((401, {"error": {"message": "no credit"}}), "answers 401 (no credit): check"),
        ((400, {"error": "bad model"}), "answers 400 (bad model): check"),
        ((200, {"choices": []}), "something else than a chat completion"),
        ((200, "<html>"), "something else than a chat completion"),
    ],
)
def test_what_another_attempt_would_not_mend_is_asked_once(
    endpoint: FakeEndpoint, reply: tuple[int, dict[str, Any] | str], words: str
) -> None:
    endpoint.refuses_always = reply
    with Endpoint(endpoint.url, "rule") as asking, pytest.raises(TaskFailed) as caught:
        asking.ask(Question("system", "prompt"))
    assert words in str(caught.value)
    assert len(endpoint.asked) == 1


def test_a_busy_endpoint_is_asked_again(indexed: TaskContext, endpoint: FakeEndpoint) -> None:
    endpoint.refusals = [(429, "slow down"), (503, "loading")]
    explain(indexed, endpoint, model="busy")
    assert stored(indexed, "busy") is not None
    assert len(endpoint.asked) == 7


def test_pauses_grow_and_nobody_there_is_one_sentence() -> None:
    pauses: list[float] = []
    with (
        Endpoint("http://127.0.0.1:9/v1/", "none", pause=pauses.append) as nobody,
        pytest.raises(TaskFailed, match=r"/v1/chat/completions does not answer .*again later"),
    ):
        nobody.ask(Question("system", "prompt"))
    assert pauses == [1, 2, 4, 8]


def test_a_feature_that_never_fires_is_said_to_have_no_contexts(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    with pytest.raises(TaskFailed, match="no contexts"):
        explain(indexed, endpoint, features=[1], model="silent")
    assert endpoint.asked == []
    with pytest.raises(ValueError, match="0 to 1, not 3"):
        explain(indexed, endpoint, features=[3])


def test_the_top_features_are_asked_about_and_no_silent_one(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    last = explain(indexed, endpoint, features=None, top=3, model="top")
    assert last.result is not None
    assert last.result["explained"] == [0]


def test_a_run_that_is_told_to_end_stops_between_features(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    context = TaskContext(indexed.settings, indexed.database)
    request = ExplainRequest(sae="words", features=[0], endpoint=endpoint.url, model="stopped")
    context.stopping.set()
    with pytest.raises(RunInterrupted):
        list(TASKS["explain"][1](context, request))


def test_the_prompt_holds_no_mark_of_the_answer(
    indexed: TaskContext, endpoint: FakeEndpoint
) -> None:
    explain(indexed, endpoint, model="inspected")
    first, *tests = [body["messages"][-1]["content"] for body in endpoint.asked]
    assert "{+9}" in first or "{-9}" in first
    assert not any("{+" in prompt or "{-" in prompt for prompt in tests)
    assert {body["temperature"] for body in endpoint.asked} == {0}
    assert json.dumps(endpoint.asked).count("<|endoftext|>") == 0


def test_a_request_names_features_or_a_number_and_an_http_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        ExplainRequest(sae=1, features=[0], top=2, endpoint="http://x/v1", model="m")
    with pytest.raises(ValueError, match="endpoint"):
        ExplainRequest(sae=1, endpoint=f"file://{tmp_path}", model="m")
