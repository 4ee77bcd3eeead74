"""Which fields of a training go together, and which SAEs a sweep means.

Command line, web and worker ask here before anything is entered. Knows no torch and no database;
what depends on the language model is refused by the task.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from server.protocol import SPARSIFIERS_WITH_K, TrainableSparsifier, TrainRequest
from server.protocol.names import check_name

MOST_SAES = 64
WITH_THRESHOLD = ("relu", "soft_threshold", "jumprelu", "hard_threshold")
WITH_WEIGHT = (*WITH_THRESHOLD, "vsae")
WITH_PRECISION = ("topk", "abstopk", "batchtopk", "batchabstopk")
"""A vsae chooses among codes that it draws densely."""
VARIATIONAL = {"sigma": "learned", "sample": True, "rectify": False, "by_magnitude": False}


class Variant(NamedTuple):
    """One SAE of a training: what may differ within a sweep. None: the sparsifier has no such thing."""

    sae: TrainableSparsifier
    k: int | None
    sparsity_weight: float | None
    seed: int


def variants(request: TrainRequest) -> list[Variant]:
    """Every combination of the lists, sparsifier by sparsifier; each once where a list does not apply."""
    found: dict[Variant, None] = {}
    for sae in several(request.sae):
        for k in several(request.k) if sae in SPARSIFIERS_WITH_K else [None]:
            for weight in several(request.sparsity_weight) if sae in WITH_WEIGHT else [None]:
                for seed in several(request.seed):
                    found[Variant(sae, k, weight, seed)] = None
    return list(found)


def difference(variant: Variant, chosen: Sequence[Variant]) -> str:
    """What tells an SAE from the others of its sweep; nothing if it is alone."""
    parts = {
        "sae": variant.sae,
        "k": f"k{variant.k}",
        "sparsity_weight": f"l{variant.sparsity_weight or 0:g}",
        "seed": f"seed{variant.seed}",
    }
    return "".join(f"-{part}" for field, part in parts.items() if _varies(field, variant, chosen))


def several(value: Any) -> list[Any]:
    """A value or a list of them, as a list."""
    return list(value) if isinstance(value, list) else [value]


def check_training(request: TrainRequest) -> None:
    """Raise ValueError, one sentence naming the fields, for a training that makes no sense."""
    kinds = several(request.sae)
    _check_lists(request)
    _check_name(request)
    _check_k(request)
    _check_prefixes(request)
    _check_uses(request, kinds)
    if request.rectify and request.by_magnitude:
        raise ValueError(
            "--rectify leaves no negative code, so --by-magnitude has no meaning with it: choose one"
        )
    if request.keep_sinks and request.outlier_norm != _default("outlier_norm"):
        raise ValueError(
            "--keep-sinks leaves nothing out, so --outlier-norm has no meaning with it: choose one"
        )
    if request.batch is not None and request.batch % request.processes:
        raise ValueError(
            f"--batch {request.batch} cannot be shared out among --processes {request.processes}: "
            f"choose a multiple of {request.processes}"
        )


def check_given(request: TrainRequest) -> None:
    """Raise ValueError for a k that nobody needs, where the request holds only what was asked for.

    Not for forms, which always send one, nor for stored requests, in which every field is set.
    """
    kinds = several(request.sae)
    if "k" in request.model_fields_set and not set(kinds) & set(SPARSIFIERS_WITH_K):
        raise ValueError(_no_meaning("k", kinds, SPARSIFIERS_WITH_K))


def _check_lists(request: TrainRequest) -> None:
    for name in ("sae", "k", "seed", "sparsity_weight"):
        values = several(getattr(request, name))
        if len(set(values)) < len(values):
            raise ValueError(f"{_flag(name)} names a value twice: each is trained once")
    count = len(variants(request))
    if count > MOST_SAES:
        raise ValueError(f"{count} SAEs on one pass are too many: ask for at most {MOST_SAES}")


def _check_name(request: TrainRequest) -> None:
    if request.name is not None:
        chosen = variants(request)
        longest = max((difference(variant, chosen) for variant in chosen), key=len)
        check_name(request.name, longest)


def _check_k(request: TrainRequest) -> None:
    largest = max((variant.k or 0 for variant in variants(request)), default=0)
    if largest > request.width:
        raise ValueError(
            f"k {largest} is larger than width {request.width}: choose a smaller --k"
            " or a larger --width"
        )


def _check_prefixes(request: TrainRequest) -> None:
    prefixes = request.prefixes
    if prefixes and (sorted(set(prefixes)) != prefixes or prefixes[-1] != request.width):
        shown = ",".join(map(str, prefixes))
        raise ValueError(
            f"--prefixes {shown} must rise, and end at --width {request.width}: they are the widths "
            "of the nested SAEs, the whole one last"
        )


def _check_uses(request: TrainRequest, kinds: list[str]) -> None:
    """A field that was set must have a meaning for at least one of the sparsifiers."""
    uses = {"threshold": WITH_THRESHOLD, "sparsity_weight": WITH_WEIGHT}
    uses |= {"precision": WITH_PRECISION}
    uses |= dict.fromkeys(VARIATIONAL, ("vsae",))
    for name, allowed in uses.items():
        if getattr(request, name) != _default(name) and not set(kinds) & set(allowed):
            raise ValueError(_no_meaning(name, kinds, allowed))


def _no_meaning(name: str, kinds: list[str], allowed: Sequence[str]) -> str:
    return (
        f"{_flag(name)} has no meaning for --sae {','.join(kinds)}, only for "
        f"{', '.join(allowed)}: leave it out"
    )


def _varies(field: str, variant: Variant, chosen: Sequence[Variant]) -> bool:
    """Whether this SAE has such a thing, and others of the sweep another one."""
    values = {getattr(other, field) for other in chosen} - {None}
    return getattr(variant, field) is not None and len(values) > 1


def _default(name: str) -> Any:
    return TrainRequest.model_fields[name].default


def _flag(name: str) -> str:
    return "--no-sample" if name == "sample" else f"--{name.replace('_', '-')}"
