"""The training recipe: every choice is a field, its source beside it.

Impossible combinations are refused here; what depends on the SAE as well is refused by `check_pair`.
Knows nothing of weights or data.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from models.field_kinds import check_kinds
from models.kernels import KernelOptions
from models.sae.config import LEARNT_THRESHOLD, SAEConfig
from models.sae.weights import THRESHOLD_BATCHES

DecayShape = Literal["linear", "cosine"]
BiasStart = Literal["median", "mean", "zero"]
LARGEST_SEED = 2**32 - 1
"""That every random generator takes: torch's, numpy's and scikit-learn's."""
PENALISED = ("relu", "soft_threshold", "jumprelu", "hard_threshold", "vsae")
"""Sparsifiers with a penalty of their own; the others are sparse by k."""


@dataclass(frozen=True)
class TrainConfig:
    """The recipe of one SAE. Penalties are weighted per unit of mean squared error per dimension.

    "Peers" are SAELens, dictionary_learning and sparsify; science §3 is the project's own default.
    """

    tokens: int = 1_000_000
    batch: int = 4_096
    """Tokens per step, of all processes together (AbsTopK §4: 30,000 steps of 4,096)."""
    lr: float = 3e-4
    """Adam's rate at its height (science §3; SAELens)."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's moments (science §3)."""
    epsilon: float = 1e-8
    """Adam's ε (Kingma and Ba 2015)."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises linearly from 0 (science §3)."""
    decay: float = 0.2
    """Last share of the steps, over which the rate falls to 0 (science §3)."""
    decay_shape: DecayShape = "linear"
    """Linear as in science §3, or half a cosine (an option of SAELens)."""
    clip: float | None = 1.0
    """Largest norm of the gradient of the squared error summed over d_in, all weights together, as the
    peers clip it; None: no clipping (science §3)."""
    tied_start: bool = True
    """W_enc starts as W_decᵀ (science §3; Gao et al. 2024, §2.4); False: random unit columns."""
    unit_norm: bool = True
    """Decoder rows are brought back to unit norm after each step (science §3; Bricken et al. 2023)."""
    remove_parallel: bool = True
    """The gradient along each decoder row is dropped, as unit norm undoes it (Bricken et al. 2023)."""
    bias_start: BiasStart = "median"
    """b_dec starts as the data's geometric median, its mean, or zero (science §3)."""
    scale_inputs: bool = True
    """Activations are scaled so that E‖x‖² = d_in, the scale kept with the SAE (science §3)."""
    start_tokens: int = 32_768
    """Tokens read ahead for scale, b_dec and token means (Gao et al. 2024, App. A); trained on too.
    With a token bias, read more: a rare token's mean is no better than what was seen of it."""
    sparsity_weight: float = 0.0
    """λ of L1 (relu, soft_threshold) or L0 (jumprelu, hard_threshold), or β of vsae's KL (science §1, 2)."""
    sparsity_warmup: float = 0.1
    """Share of the steps over which sparsity_weight grows linearly from 0 (vSAE §3)."""
    auxk_weight: float = 1 / 32
    """Weight of the residual rebuilt by dead latents (science §3; Gao et al. 2024, App. A.2)."""
    auxk: int | None = None
    """How many dead latents rebuild it, per token; None: d_in / 2 (science §3)."""
    dead_after: int = 250_000
    """Tokens of silence after which a pole counts as dead; a signed latent is dead when both are."""
    autocast: bool = False
    """bf16 matrix products in forward and backward, for devices that are faster so (science §3); for
    relu, soft_threshold and vsae: k-sparse ones have precision = "candidates" instead."""
    seed: int = 0
    """Of the weights' start and of vsae's noise."""
    kernels: KernelOptions = field(default_factory=KernelOptions)
    """How the k-sparse maths is computed: precision and path. Each training has its own workspace."""

    def __post_init__(self) -> None:
        if isinstance(self.kernels, dict):  # from JSON
            object.__setattr__(self, "kernels", _read_kernels(self.kernels))
        if isinstance(self.betas, list):
            object.__setattr__(self, "betas", tuple(self.betas))
        check_kinds(self)
        self._check_counts()
        self._check_numbers()
        self._check_schedule()
        self._check_combinations()

    @property
    def steps(self) -> int:
        """How many optimiser steps the tokens make."""
        return -(-self.tokens // self.batch)

    @property
    def threshold_batches(self) -> int:
        """How far back the mean goes that is BatchTopK's threshold in evaluation.

        A tenth of the steps: the start, when the pre-activations are still growing, must be forgotten.
        """
        return min(THRESHOLD_BATCHES, max(1, self.steps // 10))

    def _check_counts(self) -> None:
        if self.tokens < 1 or self.batch < 1:
            raise ValueError(f"tokens ({self.tokens}) and batch ({self.batch}) must be at least 1")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed is {self.seed}, but must be from 0 to {LARGEST_SEED}")
        for name in ("start_tokens", "dead_after"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if self.auxk is not None and self.auxk < 1:
            raise ValueError(f"auxk is {self.auxk}: give at least 1, or None for d_in / 2")

    def _check_numbers(self) -> None:
        for name in ("lr", "epsilon"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} is {getattr(self, name)}, but must be a positive number")
        for name in ("sparsity_weight", "auxk_weight"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}, but must be two numbers from 0 to below 1")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}: give a positive norm, or None for no clipping")
        for name, choices in (("decay_shape", DecayShape), ("bias_start", BiasStart)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of {', '.join(get_args(choices))}"
                )

    def _check_schedule(self) -> None:
        shares = (self.warmup, self.decay, self.sparsity_warmup)
        if not all(0 <= share <= 1 for share in shares) or self.warmup + self.decay > 1:
            raise ValueError(
                f"warmup ({self.warmup}) and decay ({self.decay}) are shares of the steps, together "
                f"at most 1; sparsity_warmup ({self.sparsity_warmup}) is one too"
            )

    def _check_combinations(self) -> None:
        if self.remove_parallel and not self.unit_norm:
            raise ValueError(
                "remove_parallel = True needs unit_norm = True: without unit norm, the gradient "
                "along a row is what sets its length; switch both off"
            )
        if self.auxk is not None and self.auxk_weight == 0:
            raise ValueError(
                f"auxk = {self.auxk} has no effect with auxk_weight = 0: leave auxk out, or weigh it"
            )
        if not isinstance(self.kernels, KernelOptions):
            raise ValueError(f"kernels is {self.kernels!r}, but must hold precision and backend")
        if self.autocast and self.kernels.precision == "candidates":
            raise ValueError(
                "autocast = True and kernels.precision = 'candidates' exclude each other: candidates "
                "are rescored in float32, which autocast would undo; choose one"
            )


def _read_kernels(given: dict[str, Any]) -> KernelOptions:
    """The options that JSON holds; the workspace is a training's own."""
    known = ("precision", "backend", "workspace")
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"kernels has unknown fields {unknown}: known are precision and backend")
    return KernelOptions(**{name: given[name] for name in known[:2] if name in given})


def check_pair(sae: SAEConfig, config: TrainConfig) -> None:
    """Raise ValueError when the recipe does not fit the SAE, naming both fields."""
    if sae.sparsifier == "dim":
        raise ValueError(
            "sparsifier 'dim' is not trained: Difference-in-Mean axes are made by models.concepts"
        )
    if config.sparsity_weight > 0 and sae.sparsifier not in PENALISED:
        raise ValueError(
            f"sparsity_weight = {config.sparsity_weight} has no meaning for sparsifier "
            f"{sae.sparsifier!r}, which is sparse by its k: leave it out"
        )
    if sae.input_scale != 1.0 and config.scale_inputs:
        raise ValueError(
            f"input_scale = {sae.input_scale} would be replaced, as scale_inputs = True measures "
            "it: leave input_scale out, or set scale_inputs = False"
        )
    if config.autocast and sae.is_k_sparse and sae.sparsifier != "vsae":
        raise ValueError(
            f"autocast = True does nothing for sparsifier {sae.sparsifier!r}, whose maths is sparse: "
            'set kernels.precision = "candidates" instead'
        )
    if config.autocast and sae.sparsifier in LEARNT_THRESHOLD:
        raise ValueError(
            f"autocast = True has no meaning for sparsifier {sae.sparsifier!r}: its θ learns from u "
            f"within a bandwidth of {sae.bandwidth}, finer than bf16 tells apart; leave autocast out"
        )
    if config.auxk is not None and config.auxk > sae.d_sae:
        raise ValueError(f"auxk = {config.auxk} is more than d_sae = {sae.d_sae}: choose fewer")
