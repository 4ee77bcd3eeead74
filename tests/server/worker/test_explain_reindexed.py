"""An index that is published while features are explained: on both databases, with a real endpoint."""

from pathlib import Path
from typing import Any

import pytest

from server.protocol.explain import ExplainRequest
from server.store.explanations import get_explanation
from server.store.feature_table import list_features
from server.store.session import Database
from server.worker import explain_contexts, task_explain
from server.worker.explain_contexts import ContextSource
from server.worker.progress import TaskContext
from server.worker.tasks import TASKS
from tests.server.worker.explain_case import TEXT, index, make_case
from tests.server.worker.fake_endpoint import fake_endpoint

OTHER_TEXT = TEXT.replace("garden", "castle")


@pytest.fixture
def indexed(database: Database, database_url: str, tmp_path: Path) -> TaskContext:
    return make_case(tmp_path, database, database_url)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[explain_contexts.RandomContexts]:
    """The random contexts that are drawn, in their order."""
    draw, found = explain_contexts.draw_contexts, []

    def noting(*arguments: Any) -> explain_contexts.RandomContexts:
        found.append(draw(*arguments))
        return found[-1]

    monkeypatch.setattr(explain_contexts, "draw_contexts", noting)
    return found


@pytest.mark.parametrize("text", [TEXT, OTHER_TEXT], ids=["same text", "another text"])
def test_features_are_explained_although_their_index_was_replaced(
    indexed: TaskContext, text: str
) -> None:
    with fake_endpoint() as endpoint:
        request = ExplainRequest(sae="words", features=[0], endpoint=endpoint.url, model="rule")
        steps = TASKS["explain"][1](indexed, request)
        next(steps)
        index(indexed, text)
        *_, last = steps

    assert last.result is not None
    assert last.result["explained"] == [0]
    with indexed.database.read() as session:
        found = get_explanation(session, 1, 0)
    assert found is not None
    assert {found.text_pos, found.text_neg} == {"girl", "boy"}
    assert found.sign is not None
    assert found.sign > 0.9


def test_random_contexts_are_of_the_text_of_the_index_and_drawn_once_for_each(
    indexed: TaskContext, drawn: list[explain_contexts.RandomContexts]
) -> None:
    source = ContextSource(indexed, 1, [0, 1])
    for text in (TEXT, TEXT, OTHER_TEXT):
        index(indexed, text)
        source.of(0)
        source.of(1)

    texts = ["".join("".join(tokens) for tokens in each.tokens) for each in drawn]
    assert ["garden" in text for text in texts] == [True, False]


def test_the_top_features_are_all_of_one_index(
    indexed: TaskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []

    def one_by_one(*arguments: Any, **options: Any) -> Any:
        if pages:
            index(indexed, OTHER_TEXT)
        pages.append(list_features(*arguments, **options | {"limit": 1}))
        return pages[-1]

    monkeypatch.setattr(task_explain, "list_features", one_by_one)
    with fake_endpoint() as endpoint:
        request = ExplainRequest(sae="words", top=2, endpoint=endpoint.url, model="rule")
        *_, last = TASKS["explain"][1](indexed, request)

    assert last.result is not None
    assert last.result["explained"] == [0]
    assert [len(page.rows) for page in pages] == [1, 1]
