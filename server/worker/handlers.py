"""What the worker answers: a prompt's signed activations, and steered text token by token.

Plain functions on loaded models; knows nothing of HTTP or threads.
"""

from collections.abc import Iterator

import torch
from tokenizers.decoders import DecodeStream

from models.language_model import LanguageModel
from models.steer import SteerEdit, end_tokens, generate
from server.protocol import (
    MAX_PROMPT_TOKENS,
    PromptFeature,
    PromptRequest,
    PromptResponse,
    SteerEnd,
    SteerRequest,
    SteerToken,
)
from server.worker.shelf import Shelf


@torch.inference_mode()
def read_prompt(shelf: Shelf, request: PromptRequest) -> PromptResponse:
    """Signed activations of the strongest features; position 0 (the attention sink) carries 0."""
    record, sae = shelf.sae(request.sae)
    lm = shelf.model(record.model_id)
    token_ids = _tokens(lm, request.text, 0)
    missing = [feature for feature in request.features if feature >= record.d_sae]
    if missing:
        raise ValueError(
            f"feature {missing[0]} is out of range: {record.name} has features 0 to {record.d_sae - 1}"
        )
    residual = lm.residual(torch.tensor([token_ids]), record.layer)[0].float()
    code = sae.encode(residual)
    code[0] = 0
    order = _rank(code, request)
    vocabulary, special = lm.vocabulary, set(lm.tokenizer.all_special_ids)
    return PromptResponse(
        sae=record.id,
        tokens=[vocabulary[token] for token in token_ids],
        token_ids=token_ids,
        special=[token in special for token in token_ids],
        features=[
            PromptFeature(
                feature=feature,
                activations=column.tolist(),
                max=float(column.max()),
                min=float(column.min()),
                sum_abs=float(column.abs().sum()),
            )
            for feature in order
            for column in [code[:, feature]]
        ],
    )


def steer(shelf: Shelf, request: SteerRequest) -> Iterator[SteerToken | SteerEnd]:
    """Generate every row of a request; a token once, as it comes, then each row's end."""
    lm = shelf.model(request.model)
    rows = request.strengths if request.strengths is not None else [None]
    edits = [_edit(shelf, lm, request, index, rows) for index in range(len(request.edits))]
    strengths = [_shown(request, row) for row in rows]
    prompt = _tokens(lm, request.prompt, request.max_new_tokens)
    streams = [DecodeStream(ids=prompt, skip_special_tokens=True) for _ in rows]
    texts = ["" for _ in rows]
    ends = end_tokens(lm)
    backend = lm.tokenizer.backend_tokenizer
    for token in generate(
        lm, prompt, edits, len(rows), request.max_new_tokens, request.seed, request.temperature
    ):
        text = streams[token.row].step(backend, token.token_id) or ""
        texts[token.row] += text
        strength = strengths[token.row]
        yield SteerToken(
            row=token.row, strength=strength, index=token.index, token_id=token.token_id, text=text
        )
        if token.is_last:
            reason = "end_of_text" if token.token_id in ends else "length"
            yield SteerEnd(row=token.row, strength=strength, reason=reason, text=texts[token.row])


def _edit(
    shelf: Shelf,
    lm: LanguageModel,
    request: SteerRequest,
    index: int,
    rows: list[float | None] | list[float],
) -> SteerEdit:
    """One edit with its strength in every row; the row's own strength replaces that of the first edit."""
    edit = request.edits[index]
    record, sae = shelf.sae(edit.sae)
    if shelf.model(record.model_id) is not lm:
        raise ValueError(
            f"{record.name} was trained on {record.model}, not on {lm.name}: steer the model it belongs to"
        )
    strengths = tuple(edit.strength if row is None or index > 0 else row for row in rows)
    return SteerEdit(sae, record.layer, edit.feature, edit.operation, strengths)


def _shown(request: SteerRequest, row: float | None) -> float:
    if row is not None:
        return row
    return request.edits[0].strength if request.edits else 0.0


def _tokens(lm: LanguageModel, text: str, more: int) -> list[int]:
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


def _rank(code: torch.Tensor, request: PromptRequest) -> list[int]:
    """The features asked for, then the strongest by the chosen rank; features that do not fire are left out."""
    keys = {
        "abs": code.abs().amax(0),
        "+": code.amax(0),
        "-": -code.amin(0),
        "sum_abs": code.abs().sum(0),
    }
    key = keys[request.rank]
    order = key.argsort(descending=True, stable=True)[: request.limit].tolist()
    asked = list(dict.fromkeys(request.features))
    return asked + [feature for feature in order if key[feature] > 0 and feature not in asked]
