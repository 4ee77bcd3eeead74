"""A sparse autoencoder with nothing hidden: four weights, a rule, raw activations in and out.

What every foreign format is read into and written from. Knows no file. The only place that knows
how an input scale, a shrinkage or the norms of decoder rows move between weights.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from models.sae.autoencoder import SparseAutoencoder
from models.sae.config import SIGNED, SAEConfig, Sparsifier

SMALLEST_THRESHOLD = 1e-30
"""A θ of 0 or less, which our logarithm cannot hold: no float u lies between the two."""
MATRIX = 2  # dimensions
UNIFORM = 1e-3
"""Decoder rows whose norms differ by less, relatively, count as equally long (bf16 files do)."""
FOLDABLE = ("relu", "jumprelu", "hard_threshold", "soft_threshold", "dim")
"""Each latent stands alone, so that its unit may change; a choice of k compares latents."""
WITH_THRESHOLD = ("jumprelu", "hard_threshold", "soft_threshold", "batchtopk", "batchabstopk")


@dataclass(frozen=True)
class PlainSAE:
    """z = rule(u) with u = (x − b_dec) W_enc + b_enc, and x̂ = z W_dec + b_dec, on raw activations.

    `threshold` [d_sae] is θ of jumprelu, hard_threshold and the batch rules at inference, λ of
    soft_threshold; None for the others. `about` says where it came from, for people.
    """

    W_enc: Float[Tensor, "d_in d_sae"]
    b_enc: Float[Tensor, "d_sae"]
    W_dec: Float[Tensor, "d_sae d_in"]
    b_dec: Float[Tensor, "d_in"]
    rule: Sparsifier
    k: int | None = None
    threshold: Float[Tensor, "d_sae"] | None = None
    prefixes: tuple[int, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.W_enc.dim() != MATRIX:
            raise ValueError(
                f"W_enc is {list(self.W_enc.shape)}, but must be [d_in, d_sae]: the file is damaged "
                "or of another architecture; copy it again"
            )
        d_in, d_sae = self.W_enc.shape
        wanted = {"b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
        if self.rule in WITH_THRESHOLD:
            wanted["threshold"] = (d_sae,)
        for name, shape in wanted.items():
            found = getattr(self, name)
            if found is None or tuple(found.shape) != shape:
                size = "missing" if found is None else list(found.shape)
                raise ValueError(
                    f"{name} is {size}, but W_enc [{d_in}, {d_sae}] asks for {list(shape)}: "
                    "the file is damaged or of another architecture; copy it again"
                )
        if not all(torch.isfinite(part).all() for part in self._tensors()):
            raise ValueError("the weights hold infinities or NaN: copy the SAE again")

    @property
    def d_in(self) -> int:
        """The width of the residual stream."""
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        """How many latents."""
        return self.W_enc.shape[1]

    @property
    def is_signed(self) -> bool:
        """Whether a code may be negative."""
        return self.rule in SIGNED

    def rescale(self, factor: float) -> "PlainSAE":
        """The same SAE where it used to be fed `factor`·x: same codes, rows 1/factor as long."""
        return replace(
            self,
            W_enc=self.W_enc * factor,
            W_dec=self.W_dec / factor,
            b_dec=self.b_dec / factor,
        )

    def fold(self, norms: Float[Tensor, "d_sae"]) -> "PlainSAE":
        """Codes `norms` times as large, rows as much shorter; x̂ is unchanged unless latents compete."""
        return replace(
            self,
            W_enc=self.W_enc * norms,
            b_enc=self.b_enc * norms,
            W_dec=self.W_dec / norms[:, None],
            threshold=None if self.threshold is None else self.threshold * norms,
        )

    def _tensors(self) -> list[Tensor]:
        found = [self.W_enc, self.b_enc, self.W_dec, self.b_dec]
        return found if self.threshold is None else [*found, self.threshold]


def from_native(sae: SparseAutoencoder) -> PlainSAE:
    """Our SAE as it evaluates, its input scale s in the weights: W_enc·s, W_dec/s, b_dec/s.

    The codes are the same numbers as before. λ of relu goes into b_enc; a vsae is the top-k of
    its mean; Matryoshka keeps its widths. Raises ValueError for a token bias, which no format holds.
    """
    config = sae.config
    if config.token_bias:
        raise ValueError(
            "a per-token bias has no place in the other libraries' formats: "
            "export with --format dipole, or train without it"
        )
    rule, b_enc, threshold = config.sparsifier, sae.b_enc.detach(), None
    if rule == "relu":
        b_enc = b_enc - config.threshold
    elif rule == "vsae":
        rule = "abstopk" if config.by_magnitude else "topk"
    elif rule == "soft_threshold":
        threshold = torch.full_like(b_enc, config.threshold)
    elif rule in ("jumprelu", "hard_threshold"):
        threshold = sae.log_threshold.detach().exp()
    elif rule in ("batchtopk", "batchabstopk"):
        threshold = sae.threshold.detach().expand_as(b_enc)
    plain = PlainSAE(
        sae.W_enc.detach(),
        b_enc,
        sae.W_dec.detach(),
        sae.b_dec.detach(),
        rule,
        config.k,
        threshold,
        config.prefixes,
    )
    return plain.rescale(config.input_scale)


def to_native(plain: PlainSAE) -> SparseAutoencoder:
    """The SAE with decoder rows of unit norm wherever that is exact; x̂ is the same in any case.

    Rows of one common norm n: input_scale = 1/n, codes unchanged, whatever the rule. Rows of
    several norms: where latents stand alone (relu, jumprelu, …) each code is multiplied by its
    row's norm; where they compete for k places that would change who wins, so the rows keep
    their norms and the codes are those of the file.
    """
    norms = plain.W_dec.norm(dim=-1)
    live = norms[norms > 0] if bool((norms > 0).any()) else torch.ones(1)
    mean, scale = float(live.mean()), 1.0
    norms = torch.where(norms > 0, norms, live.mean())
    if float((live - mean).abs().max()) <= UNIFORM * mean:
        scale = 1.0 if abs(mean - 1) <= UNIFORM else 1 / mean
        plain = plain.rescale(1 / scale)
    elif plain.rule in FOLDABLE:
        plain = plain.fold(norms)
    config = SAEConfig(
        plain.d_in,
        plain.d_sae,
        plain.rule,
        k=plain.k,
        threshold=_initial(plain),
        input_scale=scale,
        prefixes=plain.prefixes,
    )
    sae = SparseAutoencoder(config)
    state = {"W_enc": plain.W_enc, "b_enc": plain.b_enc, "W_dec": plain.W_dec, "b_dec": plain.b_dec}
    if plain.threshold is not None and plain.rule in ("jumprelu", "hard_threshold"):
        state["log_threshold"] = plain.threshold.clamp(min=SMALLEST_THRESHOLD).log()
    elif plain.threshold is not None and plain.rule in ("batchtopk", "batchabstopk"):
        state["threshold"] = plain.threshold[0]
    own = sae.state_dict()
    sae.load_state_dict(
        {**own, **{name: value.float().reshape(own[name].shape) for name, value in state.items()}}
    )
    return sae.eval().requires_grad_(False)


def _initial(plain: PlainSAE) -> float:
    """The config's own scalar: λ of soft_threshold, a positive start of a learnt θ."""
    if plain.threshold is None or plain.rule in ("batchtopk", "batchabstopk"):
        return 0.0
    if plain.rule == "soft_threshold":
        return float(plain.threshold[0])
    return max(SMALLEST_THRESHOLD, float(plain.threshold.clamp(min=0).mean()))
