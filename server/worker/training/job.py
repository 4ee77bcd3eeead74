"""One training, found possible: what is asked, of which model, and where it is kept meanwhile.

And what is recorded with each of its SAEs. Knows nothing of how training is done.
"""

from dataclasses import asdict
from typing import Any, NamedTuple

from models.language_model import LanguageModel
from models.train import TrainStep
from server.protocol import TrainRequest
from server.worker.progress import Progress
from server.worker.reading import text_limit
from server.worker.training.folder import RunFolder
from server.worker.training.recipes import Planned, sink_policy

CHECKPOINT_STEPS = {"cpu": 100, "cuda": 1_000}
"""A checkpoint costs about half a step on a CPU, hundreds on a GPU."""


class TrainingJob(NamedTuple):
    """A request with everything that follows from it."""

    request: TrainRequest
    lm: LanguageModel
    layer: int
    planned: list[Planned]
    folder: RunFolder

    @property
    def every(self) -> int:
        """Steps between two checkpoints."""
        return self.request.checkpoint_every or CHECKPOINT_STEPS[self.lm.device.type]

    def progress(self, steps: list[TrainStep]) -> Progress:
        """How far it is, with the first SAE's measures."""
        first, tokens = steps[0], self.request.tokens
        done = min(first.step * self.planned[0].recipe.batch, tokens)
        several = f" (first of {len(steps)} SAEs)" if len(steps) > 1 else ""
        measures = f"nMSE {first.nmse:.3f}, L0 {first.l0:.1f}, dead {first.dead}{several}"
        figures = {"nmse": first.nmse, "l0": first.l0, "dead+": float(first.dead_positive)}
        if self.planned[0].sae.is_signed:
            figures["dead-"] = float(first.dead_negative)
        message = f"trained {done:,} tokens: {measures}"
        return Progress(done, tokens, message, figures=figures)

    def about(self, place: int, dead: int, outlier_threshold: float | None) -> dict[str, Any]:
        """What is recorded with the SAE of this place: all that it takes to make it again."""
        request, is_cut = self.request, outlier_threshold not in (None, float("inf"))
        sinks = asdict(sink_policy(request))
        return {
            "model": request.model,
            "layer": self.layer,
            "text": request.text,
            "text_tokens": text_limit(request.text, request.tokens),
            "training": asdict(self.planned[place].recipe),
            "sinks": sinks | {"threshold": outlier_threshold if is_cut else None},
            "cache": request.cache,
            "processes": request.processes,
            "trained_together": [item.variant._asdict() for item in self.planned],
            "dead_at_end": dead,
            "run": [self.folder.token, place],
        }
