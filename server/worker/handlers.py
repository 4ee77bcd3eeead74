"""What the worker answers about a prompt: its tokens and their signed activations.

Plain functions on loaded models; knows nothing of HTTP or threads.
"""

import torch

from server.protocol import PromptFeature, PromptRequest, PromptResponse
from server.worker.shelf import Shelf
from server.worker.steering import prompt_tokens


@torch.inference_mode()
def read_prompt(shelf: Shelf, request: PromptRequest) -> PromptResponse:
    """Signed activations of the strongest features; position 0 (the attention sink) carries 0."""
    record, sae = shelf.sae(request.sae)
    lm = shelf.model(record.model_id)
    token_ids = prompt_tokens(lm, request.text, 0)
    missing = [feature for feature in request.features if feature >= record.d_sae]
    if missing:
        raise ValueError(
            f"feature {missing[0]} is out of range: {record.name} has features 0 to {record.d_sae - 1}"
        )
    tokens = torch.tensor(token_ids)
    residual = lm.residual(tokens[None], record.layer)[0].float()
    code = sae.encode(residual, tokens)
    code[0] = 0
    order = _rank(code, request)
    vocabulary, special = lm.vocabulary, set(lm.tokenizer.all_special_ids)
    return PromptResponse(
        sae=record.id,
        tokens=[vocabulary[token] for token in token_ids],
        token_ids=token_ids,
        special=[token in special for token in token_ids],
        features=_features(code, order),
    )


def _features(code: torch.Tensor, order: list[int]) -> list[PromptFeature]:
    """Columns of the code, all at once: one at a time they cost several milliseconds."""
    columns = code[:, order].T.contiguous()
    values, sums = columns.tolist(), columns.abs().sum(1).tolist()
    return [
        PromptFeature(
            feature=feature,
            activations=activations,
            max=max(activations),
            min=min(activations),
            sum_abs=sum_abs,
        )
        for feature, activations, sum_abs in zip(order, values, sums, strict=True)
    ]


def _rank(code: torch.Tensor, request: PromptRequest) -> list[int]:
    """The features asked for, then the strongest by the chosen rank; features that do not fire are left out."""
    match request.rank:
        case "abs":
            key = code.abs().amax(0)
        case "+":
            key = code.amax(0)
        case "-":
            key = -code.amin(0)
        case "sum_abs":
            key = code.abs().sum(0)
    order = key.argsort(descending=True, stable=True)[: request.limit].tolist()
    asked = list(dict.fromkeys(request.features))
    return asked + [feature for feature in order if key[feature] > 0 and feature not in asked]
