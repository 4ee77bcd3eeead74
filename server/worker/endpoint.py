"""An OpenAI-compatible endpoint: one question in, one answer out, or an error that says why.

Waits and tries again when it is busy or breaks off. No error of it holds the key. Knows nothing of
features.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Self

import httpx

from models.explain.prompts import Question
from server.worker.progress import TaskFailed

ATTEMPTS = 5
LONGEST_PAUSE = 60.0  # seconds
TIMEOUT = 120.0  # seconds for one answer
UNSENDABLE = (
    "the endpoint cannot be asked: its address or the key is not of a form that can be sent;"
    " check --endpoint, and the variable that --api-key-env names"
)


class Endpoint:
    """Asks one model; may be used by several threads at once. Close it at the end, or use `with`.

    `stopping` ends a pause, and what has not been sent, at once. Raises TaskFailed for an address
    that is none.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None = None,
        pause: Callable[[float], Any] | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.url = f"{url.rstrip('/')}/chat/completions"
        _require_address(self.url)
        self.model = model
        self._key = key
        self.stopping = threading.Event() if stopping is None else stopping
        self._pause = self.stopping.wait if pause is None else pause
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, question: Question) -> str:
        """The model's answer. Raises TaskFailed, saying what to do, when there is none."""
        body = {
            "model": self.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.prompt},
            ],
        }
        problem = ""
        for attempt in range(ATTEMPTS):
            if self.stopping.is_set():
                break
            wait = min(2.0**attempt, LONGEST_PAUSE)
            try:
                response = self._client.post(self.url, json=body)
            except (httpx.LocalProtocolError, httpx.UnsupportedProtocol):
                # Another attempt would not mend it, and its text may hold the header with the key.
                raise TaskFailed(UNSENDABLE) from None
            except httpx.TransportError as error:
                problem = f"does not answer ({type(error).__name__}: {error})"
            else:
                if response.is_success:
                    return self._content(response)
                problem = f"answers {response.status_code} ({self._reason(response)})"
                if response.status_code != 429 and response.status_code < 500:
                    raise TaskFailed(f"{self.url} {problem}: check endpoint, model and key")
                wait = _asked_wait(response, wait)
            if attempt + 1 < ATTEMPTS:
                self._pause(wait)
        if self.stopping.is_set():
            raise TaskFailed(f"{self.url} was not asked: the work was stopped")
        raise TaskFailed(f"{self.url} {problem} after {ATTEMPTS} attempts: run this again later")

    def _content(self, response: httpx.Response) -> str:
        try:
            content = response.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            content = None
        if not isinstance(content, str):
            raise TaskFailed(
                f"{self.url} answers something else than a chat completion: is --endpoint the "
                "address that /chat/completions stands under, such as http://localhost:8080/v1?"
            )
        return content

    def _reason(self, response: httpx.Response) -> str:
        """The sentence inside an error, in OpenAI's form or as plain text; never the key."""
        try:
            found = response.json()["error"]
            text = found["message"] if isinstance(found, dict) else str(found)
        except (ValueError, LookupError, TypeError):
            text = response.text
        sentence = " ".join(str(text).split())
        if self._key is not None:
            sentence = sentence.replace(self._key, "(the key)")
        return sentence[:200] or response.reason_phrase


def read_key(variable: str | None) -> str | None:
    """The key in an environment variable, without the space around it.

    Raises ValueError, which does not quote it, when it is named but not set or cannot be a key.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ValueError(f"the environment variable {variable} is not set: export the key in it")
    if not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"the environment variable {variable} holds a character that no key has, such as"
            " a letter outside of ASCII or a line break: export the key again"
        )
    return key


def _require_address(url: str) -> None:
    """Raise TaskFailed, which does not quote it, if this can be nobody's address."""
    try:
        httpx.URL(url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        raise TaskFailed(UNSENDABLE) from None


def _asked_wait(response: httpx.Response, usual: float) -> float:
    """What `Retry-After` says in seconds, within bounds."""
    try:
        return min(max(float(response.headers["retry-after"]), 0.0), LONGEST_PAUSE)
    except (KeyError, ValueError):
        return usual
