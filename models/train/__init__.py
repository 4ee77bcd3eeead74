"""Training of SAEs: one recipe for every sparsifier, sweeps on one pass, checkpoints, many processes.

Reads batches from any iterable. Knows nothing of printing or databases; `python -m models.train` is
the one command line, for torchrun.
"""

from models.train.checkpoint import Checkpoints
from models.train.config import TrainConfig
from models.train.group import Group
from models.train.run import TrainUpdate, train
from models.train.start import Start
from models.train.training import Training, TrainStep

__all__ = [
    "Checkpoints",
    "Group",
    "Start",
    "TrainConfig",
    "TrainStep",
    "TrainUpdate",
    "Training",
    "train",
]
