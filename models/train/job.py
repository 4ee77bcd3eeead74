"""A training described by one JSON file: what every process that torchrun starts is told.

Reads text, model and files; gives events as plain dictionaries. Knows nothing of printing or signals.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import takewhile
from pathlib import Path
from typing import Any

from models.activations import ActivationStream, BlockStream, CachedSource, SinkPolicy, open_cache
from models.artifact import load_json
from models.corpus import Window, make_windows, read_documents
from models.field_kinds import check_kinds
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.sae.checkpoint import save_sae
from models.train.checkpoint import Checkpoints
from models.train.config import TrainConfig
from models.train.group import Group
from models.train.run import TrainUpdate, train
from models.train.sweep import describe
from models.train.windows import load_windows
from models.windows import Windows

SECONDS_BETWEEN_EVENTS = 0.5
Event = dict[str, Any]


@dataclass(frozen=True)
class JobSAE:
    """One SAE of a job: its folder's name below `out`, and its two configs (d_in may be left out)."""

    name: str
    sae: dict[str, Any]
    train: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and where it is kept. Paths are those of the machine it runs on."""

    saes: list[JobSAE]
    out: Path
    """Each SAE is written to out/NAME at the end, by rank 0."""
    model: str | None = None
    layer: int | None = None
    """Of `model`; both are left out with a cache."""
    text: str | None = None
    """What `read_documents` takes."""
    documents: int | None = None
    """With text: how many of its first documents; None takes all."""
    windows: Path | None = None
    """Instead of text: a file of `models.train.windows`."""
    cache: Path | None = None
    """Instead of text and model: an activation cache."""
    seed: int = 0
    """Of the order of the activations."""
    sinks: SinkPolicy = field(default_factory=SinkPolicy)
    checkpoints: Path | None = None
    """Without one, a stopped training is lost."""
    every: int = 500
    """Steps between checkpoints."""
    device: str | None = None
    """None: this process's GPU where there is one, else the CPU."""
    about: dict[str, Any] = field(default_factory=dict)
    """Kept beside each SAE, in its cfg.json."""

    def __post_init__(self) -> None:
        check_kinds(self)
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but must be at least 0")
        given = [name for name in ("text", "windows", "cache") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a job needs one of text, windows and cache, but has {' and '.join(given) or 'none'}"
            )
        if self.cache is None and (self.model is None or self.layer is None):
            raise ValueError("a job without a cache needs model and layer")
        if self.documents is not None and self.text is None:
            raise ValueError(f"documents = {self.documents} counts documents of text: give text")
        names = [sae.name for sae in self.saes]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the names of saes are {names}: give one at least, and each once")
        if any(Path(name).name != name for name in names):
            raise ValueError(f"the names of saes are {names}: they are folders, without slashes")


def read_job(path: Path) -> Job:
    """The job in a JSON file. Raises ValueError on fields that are unknown, missing or contradict."""
    document = load_json(path)
    if not isinstance(document, dict):
        raise ValueError(f"{path} is no JSON object: see models.train.job for its fields")
    known = {item.name for item in fields(Job)}
    if unknown := set(document) - known:
        raise ValueError(f"{path} has unknown fields {sorted(unknown)}: known are {sorted(known)}")
    try:
        document["saes"] = [JobSAE(**entry) for entry in document["saes"]]
        document["sinks"] = SinkPolicy(**document.get("sinks", {}))
        for name in ("out", "windows", "cache", "checkpoints"):
            document[name] = None if document.get(name) is None else Path(document[name])
        return Job(**document)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} is not a whole job ({error}): see models.train.job") from error


def run_job(job: Job, group: Group, device: str, stop: Callable[[], bool]) -> Iterator[Event]:
    """Train, save, and tell: `progress` now and then, then `done` or `stopped` with the step reached."""
    config = _recipe(job.saes[0])
    stream, d_in = _open(job, config, group, device)
    configs = [(_sae(entry, d_in), _recipe(entry)) for entry in job.saes]
    checkpoints = None if job.checkpoints is None else Checkpoints(job.checkpoints, job.every)
    yield {"event": "started", "world": group.world, "device": device, "steps": config.steps}
    update: TrainUpdate | None = None
    told = 0.0
    for update in train(configs, stream, checkpoints, stop):
        if time.monotonic() - told >= SECONDS_BETWEEN_EVENTS:
            told = time.monotonic()
            yield _progress(update, config)
    if update is None:
        raise ValueError("the text yields no batch: give a longer text")
    yield _progress(update, config)
    step = update.steps[0].step
    if step < config.steps:
        yield {"event": "stopped", "step": step}
        return
    folders = [job.out / entry.name for entry in job.saes]
    model, layer = _read_from(job)
    cut = stream.outlier_threshold
    threshold = None if cut is None or math.isinf(cut) else cut
    if group.rank == 0:
        for folder, sae, pair, last in zip(
            folders, update.saes, configs, update.steps, strict=True
        ):
            about = {
                "model": model,
                "layer": layer,
                "training": describe(pair)["train"],
                "processes": group.world,
                "sinks": asdict(job.sinks) | {"threshold": threshold},
                "dead_at_end": last.dead,
            }
            save_sae(folder, sae, about | job.about)
    group.wait()
    yield {"event": "done", "step": step, "folders": [str(folder) for folder in folders]}


def _progress(update: TrainUpdate, config: TrainConfig) -> Event:
    first = update.steps[0]
    return {
        "event": "progress",
        "step": first.step,
        "steps": first.steps,
        "tokens": min(first.step * config.batch, config.tokens),
        "saes": [step._asdict() for step in update.steps],
    }


def _sae(entry: JobSAE, d_in: int) -> SAEConfig:
    try:
        sae = SAEConfig(**{"d_in": d_in, **entry.sae})
    except TypeError as error:
        raise ValueError(f"SAE {entry.name!r}: {error}") from error
    if sae.d_in != d_in:
        raise ValueError(
            f"SAE {entry.name!r} has d_in = {sae.d_in}, but the activations have {d_in}: leave it out"
        )
    return sae


def _recipe(entry: JobSAE) -> TrainConfig:
    try:
        return TrainConfig(**entry.train)
    except TypeError as error:
        raise ValueError(f"SAE {entry.name!r}: {error}") from error


def _open(job: Job, config: TrainConfig, group: Group, device: str) -> tuple[BlockStream, int]:
    """The stream of this rank, and the width of its activations."""
    share: dict[str, Any] = {"sinks": job.sinks, "rank": group.rank, "world": group.world}
    share["agree"] = group.agree
    if job.cache is not None:
        source = CachedSource(open_cache(job.cache), device)
        return BlockStream(source, config.batch, config.tokens, job.seed, **share), source.d_in
    assert job.model is not None
    assert job.layer is not None
    lm = LanguageModel.load(job.model, device)
    windows = _windows(job, lm)
    stream = ActivationStream(
        lm, job.layer, windows, config.batch, config.tokens, job.seed, **share
    )
    return stream, lm.d_in


def _read_from(job: Job) -> tuple[str | None, int | None]:
    """The model and layer of the activations, whoever computed them."""
    if job.cache is None:
        return job.model, job.layer
    settings = open_cache(job.cache).settings
    return settings.model, settings.layer


def _windows(job: Job, lm: LanguageModel) -> Sequence[Window]:
    if job.windows is not None:
        return load_windows(job.windows)
    assert job.text is not None
    windows = make_windows(lm, read_documents(job.text))
    if job.documents is None:
        return Windows.gather(windows)
    last = job.documents
    return Windows.gather(takewhile(lambda window: window.document < last, windows))
