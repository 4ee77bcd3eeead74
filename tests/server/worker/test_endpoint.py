"""What an endpoint is asked with, and what its errors keep to themselves: real HTTP on loopback."""

from collections.abc import Iterator

import pytest

from models.explain.prompts import Question
from server.worker.endpoint import Endpoint, read_key
from server.worker.progress import TaskFailed
from tests.server.worker.fake_endpoint import FakeEndpoint, fake_endpoint

QUESTION = Question("system", "prompt")


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with fake_endpoint() as fake:
        yield fake


@pytest.mark.parametrize("value", ["sk-secret\n", " sk-secret\r\n", "sk-secret"])
def test_a_key_is_sent_without_the_space_around_it(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOME_KEY", value)
    with Endpoint(endpoint.url, "rule", read_key("SOME_KEY")) as asking:
        asking.ask(QUESTION)
    assert endpoint.keys == ["Bearer sk-secret"]


@pytest.mark.parametrize("value", ["sk-é", "sk-\nsecret", "sk-\x7f"])
def test_what_cannot_be_a_key_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(ValueError, match="SOME_KEY holds a character that no key has") as caught:
        read_key("SOME_KEY")
    assert "sk-" not in str(caught.value)


def test_a_key_of_spaces_alone_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", " \n")
    with pytest.raises(ValueError, match="SOME_KEY is not set"):
        read_key("SOME_KEY")


def test_a_header_that_cannot_be_sent_fails_at_once_and_is_not_quoted(
    endpoint: FakeEndpoint,
) -> None:
    pauses: list[float] = []
    with (
        Endpoint(endpoint.url, "rule", "sk-secret\n", pauses.append) as asking,
        pytest.raises(TaskFailed, match="cannot be asked: its address or the key") as caught,
    ):
        asking.ask(QUESTION)
    assert "sk-secret" not in str(caught.value)
    assert (endpoint.asked, pauses) == ([], [])


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "http://a:pass/v1", "http://a\nb/v1", "http://..a/v1"]
)
def test_an_address_that_is_none_fails_at_once_and_is_not_quoted(url: str) -> None:
    pauses: list[float] = []
    with (
        pytest.raises(TaskFailed, match="cannot be asked: its address or the key") as caught,
        Endpoint(url, "rule", pause=pauses.append) as asking,
    ):
        asking.ask(QUESTION)
    assert "pass" not in str(caught.value)
    assert pauses == []


@pytest.mark.parametrize(
    "reply", [(401, {"error": {"message": "no key sk-secret"}}), (403, "sk-secret: no")]
)
def test_an_error_that_quotes_the_key_is_told_without_it(
    endpoint: FakeEndpoint, reply: tuple[int, dict[str, dict[str, str]] | str]
) -> None:
    endpoint.refuses_always = reply
    with (
        Endpoint(endpoint.url, "rule", "sk-secret") as asking,
        pytest.raises(TaskFailed, match=r"\(the key\)") as caught,
    ):
        asking.ask(QUESTION)
    assert "sk-secret" not in str(caught.value)
