"""Training itself: in this process, or in several, until all SAEs wait in the run's folder.

Knows nothing of the library.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from models.activations import ActivationCache
from models.corpus import Window
from models.train import TrainUpdate, train
from server.worker.progress import Progress, RunInterrupted, TaskFailed
from server.worker.training.job import TrainingJob
from server.worker.training.processes import train_in_processes
from server.worker.training.streams import open_or_write_cache, open_stream


def learn(
    job: TrainingJob, windows: Sequence[Window], data_dir: Path, stopping: Event
) -> Iterator[Progress]:
    """Train all SAEs of the job.

    Raises RunInterrupted when `stopping` was set (a checkpoint is kept), TaskFailed with a sentence
    on what is wrong when a loss is not finite or the disk is full.
    """
    cache = None
    try:
        if job.request.cache is not None:
            cache = yield from open_or_write_cache(
                data_dir, job.lm, job.layer, windows, job.request.cache
            )
        if job.request.processes > 1:
            yield from train_in_processes(job, windows, cache, stopping)
        else:
            yield from _train_here(job, windows, cache, stopping)
    except (ArithmeticError, OSError) as error:
        raise TaskFailed(str(error)) from error


def _train_here(
    job: TrainingJob, windows: Sequence[Window], cache: ActivationCache | None, stopping: Event
) -> Iterator[Progress]:
    stream = open_stream(job.request, job.lm, job.layer, windows, cache)
    pairs = [(item.sae, item.recipe) for item in job.planned]
    last: TrainUpdate | None = None
    for last in train(pairs, stream, job.folder.checkpoints(job.every), stopping.is_set):
        yield job.progress(last.steps)
    if last is None or (stopping.is_set() and last.steps[0].step < last.steps[0].steps):
        raise RunInterrupted("the training was interrupted; its checkpoint is kept")
    threshold = stream.outlier_threshold
    job.folder.keep_trained(
        [
            (sae.eval().requires_grad_(False), job.about(place, step.dead, threshold))
            for place, (sae, step) in enumerate(zip(last.saes, last.steps, strict=True))
        ]
    )
