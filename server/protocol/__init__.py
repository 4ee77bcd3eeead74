"""Typed messages between web, worker and command line: what is asked, what comes back.

Knows no torch, no database and no page. Every request refuses unknown fields, infinities and NaN.
Messages about concepts, effects and files are in the modules of those names.
"""

from server.protocol.base import (
    MAX_EDITS,
    MAX_NEW_TOKENS,
    MAX_PROMPT_CHARACTERS,
    MAX_PROMPT_TOKENS,
    MAX_ROWS,
    MAX_STRENGTH,
    ONE_SIDED_SPARSIFIERS,
    SIGNED_SPARSIFIERS,
    SPARSIFIERS_WITH_K,
    Count,
    EditPole,
    Item,
    Message,
    OneOrMore,
    Operation,
    Positions,
    SaeKey,
    Sparsifier,
    TrainableSparsifier,
)
from server.protocol.compare import CompareRequest, CompareResponse, Fragment, MatchedPair
from server.protocol.contrast import MAX_ENDS, ContrastFeature, ContrastRequest, ContrastResponse
from server.protocol.prompt import PromptFeature, PromptRequest, PromptResponse
from server.protocol.runs import DemoRequest, IndexRequest, MapRequest, TrainRequest
from server.protocol.steer import Edit, SteerEnd, SteerQueued, SteerRequest, SteerToken, WorkerError

__all__ = [
    "MAX_EDITS",
    "MAX_ENDS",
    "MAX_NEW_TOKENS",
    "MAX_PROMPT_CHARACTERS",
    "MAX_PROMPT_TOKENS",
    "MAX_ROWS",
    "MAX_STRENGTH",
    "ONE_SIDED_SPARSIFIERS",
    "SIGNED_SPARSIFIERS",
    "SPARSIFIERS_WITH_K",
    "CompareRequest",
    "CompareResponse",
    "ContrastFeature",
    "ContrastRequest",
    "ContrastResponse",
    "Count",
    "DemoRequest",
    "Edit",
    "EditPole",
    "Fragment",
    "IndexRequest",
    "Item",
    "MapRequest",
    "MatchedPair",
    "Message",
    "OneOrMore",
    "Operation",
    "Positions",
    "PromptFeature",
    "PromptRequest",
    "PromptResponse",
    "SaeKey",
    "Sparsifier",
    "SteerEnd",
    "SteerQueued",
    "SteerRequest",
    "SteerToken",
    "TrainRequest",
    "TrainableSparsifier",
    "WorkerError",
]
