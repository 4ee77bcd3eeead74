"""From a request to configurations: what each sparsifier needs where nothing was said.

Knows neither text nor database.
"""

from statistics import NormalDist
from typing import NamedTuple

from models.activations import SinkPolicy
from models.kernels import KernelOptions
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.sae.config import LEARNT_THRESHOLD
from models.train import TrainConfig
from models.train.config import check_pair
from server.protocol import TrainRequest
from server.train_rules import WITH_THRESHOLD, Variant, check_training, several, variants

SPARSITY_WEIGHTS = {
    "relu": 1.0,
    "soft_threshold": 1.0,
    "jumprelu": 0.01,
    "hard_threshold": 0.01,
    "vsae": 1e-4,
}
SHRINKAGE = {"soft_threshold": 1.0}
"""λ, in scaled units, where an activation has a mean square of 1 per dimension."""
STARTING_SHARE = 0.1
"""Of d_in: how many latents per token are to be active when a learnt θ starts (science §3: k ≈ d/10)."""


class Planned(NamedTuple):
    """One SAE to train."""

    variant: Variant
    sae: SAEConfig
    recipe: TrainConfig


def plan_saes(request: TrainRequest, lm: LanguageModel) -> list[Planned]:
    """Every SAE of the request. Raises ValueError on impossible combinations."""
    check_training(request)
    vocabulary = lm.model.config.get_text_config().vocab_size
    planned = [
        Planned(variant, _sae(request, variant, lm.d_in, vocabulary), _recipe(request, variant))
        for variant in variants(request)
    ]
    for item in planned:
        check_pair(item.sae, item.recipe)
    return planned


def sink_policy(request: TrainRequest) -> SinkPolicy:
    """Which positions are left out."""
    if request.keep_sinks:
        return SinkPolicy(first=False, outlier_norm=None)
    return SinkPolicy(outlier_norm=request.outlier_norm)


def stream_seed(request: TrainRequest) -> int:
    """The order of the activations, which all SAEs of a sweep share: that of the first seed."""
    return several(request.seed)[0]


def batch_size(request: TrainRequest) -> int:
    """Small trainings take smaller batches, so that there are steps enough."""
    if request.batch is not None:
        return request.batch
    batch = 4_096 if request.tokens >= 4_000_000 else 2_048 if request.tokens >= 200_000 else 512
    return -(-batch // request.processes) * request.processes


def _sae(request: TrainRequest, variant: Variant, d_in: int, vocabulary: int) -> SAEConfig:
    threshold = _threshold(variant.sae, d_in, request.width)
    if request.threshold is not None and variant.sae in WITH_THRESHOLD:
        threshold = request.threshold
    is_vsae = variant.sae == "vsae"
    return SAEConfig(
        d_in,
        request.width,
        variant.sae,
        k=variant.k,
        threshold=threshold,
        sigma=request.sigma if is_vsae else "learned",
        sample=request.sample or not is_vsae,
        rectify=request.rectify and is_vsae,
        by_magnitude=request.by_magnitude and is_vsae,
        prefixes=tuple(request.prefixes),
        token_bias=request.token_bias,
        vocabulary=vocabulary if request.token_bias else None,
    )


def _threshold(sae: str, d_in: int, width: int) -> float:
    """λ, or where θ starts: at the quantile of a normal u, one-sided or two-sided, that lets so many through.

    A straight-through θ moves slowly (its kernel is narrow), so it should start about right.
    """
    if sae not in LEARNT_THRESHOLD:
        return SHRINKAGE.get(sae, 0.0)
    share = min(0.25, STARTING_SHARE * d_in / width)
    return NormalDist().inv_cdf(1 - share / (2 if sae == "hard_threshold" else 1))


def _recipe(request: TrainRequest, variant: Variant) -> TrainConfig:
    batch = batch_size(request)
    weight = variant.sparsity_weight
    return TrainConfig(
        tokens=request.tokens,
        batch=batch,
        lr=request.lr or (3e-4 if batch >= 4_096 else 1e-3),
        seed=variant.seed,
        sparsity_weight=SPARSITY_WEIGHTS.get(variant.sae, 0.0) if weight is None else weight,
        dead_after=max(50_000, request.tokens // 8),
        kernels=KernelOptions(precision=request.precision),
    )
