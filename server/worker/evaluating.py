"""Evaluations asked for on the command line: how faithful an SAE is, and what is found of planted data.

Generators of progress; the last one carries the figures. Nothing is stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.corpus import Window, take_tokens
from models.evaluate.fidelity import measure_fidelity
from models.evaluate.planted import PlantedConfig, compare_planted, differences, summarise
from models.windows import Windows
from server.settings import Settings
from server.store.language_models import get_model
from server.store.session import Database
from server.worker.library import open_sae, read_model, read_windows, require_sae
from server.worker.progress import Progress
from server.worker.reading import say_limit, usual_limit
from server.worker.task_index import usual_text
from server.worker.training.held_out import split

QUICK = PlantedConfig(d_in=32, atoms=64, width=64, active=3, k=3, tokens=60_000, batch=256, lr=5e-3)
"""A smaller problem that takes seconds: to see that it runs, not to quote."""


def evaluate_planted(changes: dict[str, Any], seeds: int, quick: bool) -> Iterator[Progress]:
    """Plant dictionaries and count what AbsTopK and TopK find; `changes` are fields of PlantedConfig."""
    config = PlantedConfig(**{**(asdict(QUICK) if quick else {}), **changes})
    step = None
    for step in compare_planted(config, seeds):
        message = f"{len(step.found)} SAEs trained" if step.done < step.total else "counted"
        yield Progress(step.done, step.total, message)
    assert step is not None
    result = {
        "planted": asdict(config),
        "seeds": seeds,
        "found": [
            {"codes": _codes(one.signed), **one.arm._asdict(), **_numbers(one._asdict())}
            for one in summarise(step.found)
        ],
        "differences": [
            {
                "codes": _codes(one.signed),
                "abstopk_width": one.abstopk.width,
                "topk_width": one.topk.width,
                "mean": one.mean,
                "sd": one.sd,
                "sign": one.sign,
            }
            for one in differences(step.found)
        ],
    }
    yield Progress(step.total, step.total, "done", result)


def evaluate_fidelity(
    settings: Settings, database: Database, key: int | str, text: str | None, tokens: int | None
) -> Iterator[Progress]:
    """Measure an SAE on windows that were held out; on all of a text that is named.

    Held out is the last tenth of the documents of the SAE's own text.
    """
    record = require_sae(database, key)
    source: Path | str = usual_text(record) if text is None else text
    yield Progress(0, 1, "loading the language model")
    with database.read() as session:
        model = get_model(session, record.model_id)
    lm = read_model(database, model.name if model else record.model)
    limit = record.config.get("text_tokens") if text is None else tokens
    usual = usual_limit(source, limit)
    if usual is not None:
        yield say_limit(usual)
    windows: Sequence[Window] = read_windows(lm, source, limit or usual)
    if text is None:
        _, windows = split(windows)
    windows = Windows.gather(take_tokens(windows, tokens))
    yield Progress(0, 1, f"measuring {record.name} on {len(windows):,} windows")
    fidelity = measure_fidelity(lm, record.layer, open_sae(settings, record), windows)
    result = {"sae": record.id, "name": record.name, "text": str(source), **fidelity._asdict()}
    yield Progress(1, 1, "measured", result)


def _codes(signed: bool) -> str:
    return "signed" if signed else "one-sided"


def _numbers(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: summary[key] for key in ("atoms", "mean", "sd", "nmse")}
