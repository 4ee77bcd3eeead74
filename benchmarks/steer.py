"""Steered generation: time to the first token, and tokens a second over transformers' own `generate`.

    python benchmarks/steer.py --json steer.json        (--quick: under a minute)

Rates are tokens per second of CPU time of the whole process on one thread (on a GPU, of the wall
clock), ours for 1, 3, 9 and 20
rows with an edit each, over that of one unsteered row of `generate` on the same model. Both are
measured in every round, the ratio is taken within the round, and the median of the rounds is told, so
that a machine that slows down in between does not tilt it. `loop` is the running batch by
itself, `served` the same through the worker's device thread, with text and events. The first token
is timed by the wall clock from the request to its event. Knows the demo model and its AbsTopK SAE.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import torch

from models.generate import Edit, GenerationBatch, Row
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import load_sae
from server.protocol import MAX_ROWS, SteerRequest, SteerToken
from server.protocol import Edit as EditMessage
from server.worker.device import Device
from server.worker.shelf import Shelf

ROWS = (1, 3, 9, 20)
LAYER = 4
PROMPT = "Once upon a time there was a little girl named Lily. She liked to"
REACH = 40.0
Measure = Callable[[], float]


def main() -> None:
    """Measure in turn, print a table, write the figures."""
    options = parse()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    lm = LanguageModel.load(options.model, options.device, "demo")
    lm.model.generation_config.eos_token_id = None  # every text is written to its full length
    sae = load_sae(options.sae, options.device)
    device = device_of(lm, sae)
    rates: dict[str, Callable[[], int]] = {
        **{f"generate {n}": lambda n=n: generate(lm, options.tokens, n) for n in (1, 9)},
        **{f"loop {n}": lambda n=n: write(lm, sae, options.tokens, n) for n in ROWS},
        **{f"served {n}": lambda n=n: serve(device, options.tokens, n) for n in ROWS},
    }
    measures: dict[str, Measure] = {
        **{name: lambda take=take: rate(take, clock) for name, take in rates.items()},
        "first": lambda: first_token(device),
    }
    found = measure(measures, options.rounds)
    device.close()
    result = {
        "first_token_ms": 1e3 * median(found["first"]),
        "rate_over_generate": {str(n): over(found, f"loop {n}") for n in ROWS},
        "served_over_generate": {str(n): over(found, f"served {n}") for n in ROWS},
        "generate_tokens_per_s": median(found["generate 1"]),
        "generate_9_rows_over_1": over(found, "generate 9"),
        "rounds": options.rounds,
        "tokens": options.tokens,
        "threads": options.threads,
        "device": options.device,
    }
    report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


def measure(measures: dict[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Every measure once per round, in turn; the first round only warms up."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, take in measures.items():
            value = take()
            if number:
                found[name].append(value)
    return found


def over(found: dict[str, list[float]], name: str) -> float:
    """The median over the rounds of a rate over that of one row of `generate` in the same round."""
    return median(rate / one for rate, one in zip(found[name], found["generate 1"], strict=True))


def rate(take: Callable[[], int], clock: Measure) -> float:
    """Tokens per second, of the CPU or (on a GPU) of the wall clock."""
    began = clock()
    return take() / (clock() - began)


def generate(lm: LanguageModel, tokens: int, rows: int) -> int:
    """Transformers' greedy `generate`, unsteered; how many tokens it wrote."""
    ids = torch.tensor([lm.tokenize(PROMPT)] * rows, device=lm.device)
    written = lm.model.generate(  # type: ignore[operator]
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens
    )
    return written.numel() - ids.numel()


def write(lm: LanguageModel, sae: SparseAutoencoder, tokens: int, rows: int) -> int:
    """The running batch, each row with an edit of its own; how many tokens it wrote."""
    prompt = lm.tokenize(PROMPT)
    steered = [
        Row(prompt, (Edit(sae, LAYER, 3, "add", strength),), tokens, temperature=0.0)
        for strength in spread(rows)
    ]
    batch = GenerationBatch(lm)
    count = len(batch.admit(steered))
    while batch.rows:
        count += len(batch.step())
    return count


def serve(device: Device, tokens: int, rows: int) -> int:
    """The same through the device thread: as many requests as the rows need."""
    strengths = spread(rows)
    parts = [strengths[start : start + MAX_ROWS] for start in range(0, rows, MAX_ROWS)]

    async def read(part: list[float]) -> int:
        stream = await device.open(request_of(part, tokens), "")
        count = 0
        while (event := await stream.next()) is not None:
            count += isinstance(event, SteerToken)
        return count

    async def together() -> int:
        return sum(await asyncio.gather(*map(read, parts)))

    return asyncio.run(together())


def first_token(device: Device) -> float:
    """Seconds by the wall clock from three rows' request to their first token."""

    async def wait() -> float:
        began = time.perf_counter()
        stream = await device.open(request_of([-REACH, 0.0, REACH], 1), "")
        while not isinstance(await stream.next(), SteerToken):
            pass
        return time.perf_counter() - began

    return asyncio.run(wait())


def request_of(strengths: list[float], tokens: int) -> SteerRequest:
    """One request of the web's kind, greedy."""
    return SteerRequest(
        model=1,
        prompt=PROMPT,
        edits=[EditMessage(sae=1, feature=3)],
        strengths=strengths,
        max_new_tokens=tokens,
        temperature=0.0,
    )


def spread(rows: int) -> list[float]:
    """Strengths from one end to the other, none of them 0."""
    return [REACH * (2 * (place + 0.5) / rows - 1) or REACH for place in range(rows)]


def device_of(lm: LanguageModel, sae: SparseAutoencoder) -> Device:
    """The worker's device thread over one model and one SAE, without a database."""
    record = SimpleNamespace(id=1, model_id=1, model="demo", layer=LAYER, name="demo-abstopk")
    shelf = SimpleNamespace(sae=lambda _key: (record, sae), model=lambda _key: lm)
    return Device(cast(Shelf, shelf))


def report(result: dict[str, Any]) -> None:
    """The figures as a table."""
    print(
        f"first token {result['first_token_ms']:.0f} ms; generate {result['generate_tokens_per_s']:.0f} tokens/s"
    )
    print(f"{'rows':>6} {'loop':>8} {'served':>8}   × generate, one row")
    for n in map(str, ROWS):
        loop, served = result["rate_over_generate"][n], result["served_over_generate"][n]
        print(f"{n:>6} {loop:8.2f} {served:8.2f}")
    print(f"generate with 9 rows: {result['generate_9_rows_over_1']:.2f}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="models/demo/lm")
    parser.add_argument("--sae", type=Path, default=Path("models/demo/saes/abstopk"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="three rounds, under a minute")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.tokens = 3, 40
    return options


if __name__ == "__main__":
    main()
