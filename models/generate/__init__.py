"""Generation with signed edits of the residual stream: many rows, each with its own, in one batch."""

from models.generate.batch import GenerationBatch, NewToken, generate
from models.generate.edits import NEUTRAL, Edit, Operation, Pole, apply_edit
from models.generate.row import Positions, Row

__all__ = [
    "NEUTRAL",
    "Edit",
    "GenerationBatch",
    "NewToken",
    "Operation",
    "Pole",
    "Positions",
    "Row",
    "apply_edit",
    "generate",
]
