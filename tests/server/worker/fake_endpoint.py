"""An OpenAI-compatible server on loopback whose model follows a rule: it reads the prompt, no more.

It explains a pole by the word that stands before its strongest activations, and judges a text by
whether it holds that word.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any] | str]
Model = Callable[[str], str]


class FakeEndpoint:
    """Where it listens, what it was asked, and what it does with the next question."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.model: Model = oracle
        self.refusals: list[Reply] = []
        self.refuses_always: Reply | None = None


@contextmanager
def fake_endpoint() -> Iterator[FakeEndpoint]:
    """A server in a thread of its own, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fake.asked.append(body)
            fake.keys.append(self.headers.get("authorization"))
            status, reply = self.answer(body["messages"][-1]["content"])
            raw = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(raw)

        def answer(self, prompt: str) -> Reply:
            if self.path != "/v1/chat/completions":
                return 404, {"error": {"message": "no such path"}}
            if fake.refuses_always is not None:
                return fake.refuses_always
            if fake.refusals:
                return fake.refusals.pop(0)
            return 200, {"choices": [{"message": {"content": fake.model(prompt)}}]}

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeEndpoint(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def oracle(prompt: str) -> str:
    """The rule-based model."""
    texts = re.findall(r"\d+\. <text>(.*?)</text>", prompt, flags=re.DOTALL)
    said = dict(re.findall(r"The ([+-]) pole of the feature responds to: (.*)", prompt))
    if not said:
        plus, minus = _strongest(prompt, "+"), _strongest(prompt, "-")
        return json.dumps({"plus": plus, "minus": minus, "axis": f"{minus} ↔ {plus}"})
    if set(said) == {"+", "-"}:
        answers = [text.count(said["+"]) > text.count(said["-"]) for text in texts]
    else:
        (word,) = said.values()
        answers = [word in text for text in texts]
    return json.dumps({"answers": [int(answer) for answer in answers]})


def exchanging(prompt: str) -> str:
    """The same model, but it takes one pole for the other when it explains."""
    answer = json.loads(oracle(prompt))
    if "plus" in answer:
        answer["plus"], answer["minus"] = answer["minus"], answer["plus"]
    return json.dumps(answer)


def _strongest(prompt: str, sign: str) -> str:
    """The word with the largest sum of activations of one sign."""
    weights: Counter[str] = Counter()
    for word, level in re.findall(rf"([A-Za-z]+)\{{\{sign}(\d)\}}", prompt):
        weights[word] += int(level)
    return weights.most_common(1)[0][0] if weights else ""
