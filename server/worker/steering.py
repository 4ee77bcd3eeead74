"""From a steering request to rows of the batch, and from new tokens back to events.

Plain functions on loaded models; knows nothing of HTTP, queues or threads.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

import models.generate
from models.generate import NewToken, Row
from models.generate.batch import end_tokens
from models.language_model import LanguageModel
from server.protocol import MAX_PROMPT_TOKENS, Edit, SteerEnd, SteerRequest, SteerToken
from server.worker.shelf import Shelf


class SteerJob:
    """One request's rows, and what is needed to say their tokens as text."""

    def __init__(self, shelf: Shelf, request: SteerRequest) -> None:
        """Raises ValueError on an unknown model or SAE, a feature out of range, too long a text."""
        self.lm = shelf.model(request.model)
        self.prompt = prompt_tokens(self.lm, request.prompt, request.max_new_tokens)
        table = request.table
        self.strengths = [(strengths[0] if strengths else None) or 0.0 for strengths in table]
        self.rows = [
            Row(
                self.prompt,
                tuple(edits_of(shelf, self.lm, request.edits, strengths)),
                request.max_new_tokens,
                request.seed,
                request.temperature,
                request.positions,
            )
            for strengths in table
        ]
        backend = self.lm.tokenizer.backend_tokenizer
        assert isinstance(backend, Tokenizer)
        self._backend = backend
        self._streams = [
            DecodeStream(ids=list(self.prompt), skip_special_tokens=True) for _ in self.rows
        ]
        self._texts = ["" for _ in self.rows]
        self._places = {id(row): place for place, row in enumerate(self.rows)}
        self._ends = end_tokens(self.lm)

    def owns(self, token: NewToken) -> bool:
        """Whether a token is one of this request's."""
        return id(token.row) in self._places

    def events(self, token: NewToken) -> list[SteerToken | SteerEnd]:
        """A token as it is sent, and the end of its row behind the last one."""
        row = self._places[id(token.row)]
        text = self._streams[row].step(self._backend, token.token_id) or ""
        self._texts[row] += text
        strength = self.strengths[row]
        events: list[SteerToken | SteerEnd] = [
            SteerToken(
                row=row, strength=strength, index=token.index, token_id=token.token_id, text=text
            )
        ]
        if token.is_last:
            reason = "end_of_text" if token.token_id in self._ends else "length"
            events.append(
                SteerEnd(row=row, strength=strength, reason=reason, text=self._texts[row])
            )
        return events


def edits_of(
    shelf: Shelf, lm: LanguageModel, edits: Sequence[Edit], strengths: Sequence[float | None]
) -> list[models.generate.Edit]:
    """The edits of one row at its strengths; those with None are left out.

    Raises ValueError on an SAE of another model or a feature out of range.
    """
    found = []
    for edit, strength in zip(edits, strengths, strict=True):
        record, sae = shelf.sae(edit.sae)
        if shelf.model(record.model_id) is not lm:
            raise ValueError(
                f"{record.name} was trained on {record.model}, not on {lm.name}: steer the model it belongs to"
            )
        made = models.generate.Edit(
            sae, record.layer, edit.feature, edit.operation, strength or 0.0, edit.pole
        )
        if strength is not None:
            found.append(made)
    return found


def prompt_tokens(lm: LanguageModel, text: str, more: int) -> list[int]:
    """Token ids of a text with room for `more`. Raises ValueError on an empty or too long one."""
    token_ids = lm.tokenize(text)
    if not token_ids:
        raise ValueError("the text yields no token: type something")
    most = min(MAX_PROMPT_TOKENS, lm.context - more)
    if len(token_ids) > most:
        raise ValueError(
            f"the text has {len(token_ids)} tokens, but at most {most} fit {lm.name} here: shorten the text"
            + (" or ask for fewer new tokens" if more else "")
        )
    return token_ids
