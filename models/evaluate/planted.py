"""Planted data: a known dictionary with sparse codes, signed or not; how many of its atoms an SAE finds.

x = Σ s_j·m_j·a_j + noise over `active` of the `atoms` random unit directions a_j, magnitudes m_j
uniform on [0.5, 1.5], signs s_j = ±1 at even odds, or all + in the one-sided control. Source: science
§4. Knows no language model and no printing; takes no side: it reports the difference that it measures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.activations import Batch
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.config import Sparsifier
from models.train import TrainConfig, train

FOUND = 0.9
"""An atom is found when |cos| with some decoder row is larger (science §4)."""
FIRST_SEED = 1_000_003
HELD_OUT = 8_192  # samples the normalised error is measured on


@dataclass(frozen=True)
class PlantedConfig:
    """The data and the recipe, the same for every SAE of a comparison.

    The defaults: twice as many atoms as dimensions, as many latents as atoms, and k = the number of
    active atoms, so that a signed SAE could be exact, and a one-sided one where no code is negative.
    """

    d_in: int = 64
    atoms: int = 128
    active: int = 4
    """How many atoms make one sample."""
    width: int = 128
    """Latents of the SAEs compared; both are trained at twice as many, too."""
    k: int = 4
    noise: float = 0.05
    """Standard deviation of each dimension's noise; an atom's own coefficient is about 1."""
    tokens: int = 300_000
    batch: int = 512
    lr: float = 3e-3

    def __post_init__(self) -> None:
        if min(self.d_in, self.atoms, self.active, self.width, self.k, self.tokens) < 1:
            raise ValueError(
                "d_in, atoms, active, width, k and tokens must be at least 1: raise the one that is 0"
            )
        if self.active > self.atoms:
            raise ValueError(
                f"active ({self.active}) is more than atoms ({self.atoms}): choose fewer active ones"
            )
        if self.k > self.width:
            raise ValueError(f"k ({self.k}) is more than width ({self.width}): choose a smaller k")


class Planted:
    """The samples of one seed: iterating yields `tokens` of them as batches, each time the same."""

    def __init__(self, config: PlantedConfig, seed: int, signed: bool) -> None:
        self.config, self.seed, self.signed = config, seed, signed
        rows = torch.randn(config.atoms, config.d_in, generator=_generator(seed, 0))
        self.dictionary: Float[Tensor, "atoms d_in"] = torch.nn.functional.normalize(rows, dim=-1)

    def __iter__(self) -> Iterator[Batch]:
        random, served = _generator(self.seed, 1), 0
        while served < self.config.tokens:
            size = min(self.config.batch, self.config.tokens - served)
            yield Batch(self._sample(size, random), torch.zeros(size, dtype=torch.int64))
            served += size

    def held_out(self) -> Float[Tensor, "n d_in"]:
        """Samples that no iteration yields."""
        return self._sample(HELD_OUT, _generator(self.seed, 2))

    def _sample(self, count: int, random: torch.Generator) -> Tensor:
        config = self.config
        chosen = torch.rand(count, config.atoms, generator=random).topk(config.active).indices
        values = 0.5 + torch.rand(count, config.active, generator=random)
        signs = torch.randint(0, 2, values.shape, generator=random) * 2 - 1
        if self.signed:
            values = values * signs
        codes = torch.zeros(count, config.atoms).scatter(-1, chosen, values)
        noise = torch.randn(count, config.d_in, generator=random)
        return codes @ self.dictionary + config.noise * noise


class Arm(NamedTuple):
    """One SAE of the comparison."""

    sparsifier: Sparsifier
    width: int


class Found(NamedTuple):
    """What one SAE of one seed found: atoms with |cos| > 0.9, and its nMSE on held-out samples."""

    signed: bool
    seed: int
    arm: Arm
    atoms: int
    nmse: float


class PlantedStep(NamedTuple):
    """How far the comparison is, in samples trained on; `found` gains a seed's SAEs at its end."""

    done: int
    total: int
    found: list[Found]


class Summary(NamedTuple):
    """One arm over the seeds, on signed or one-sided codes."""

    signed: bool
    arm: Arm
    atoms: list[int]
    mean: float
    sd: float
    nmse: float


class Difference(NamedTuple):
    """Atoms found by an AbsTopK minus those found by a TopK, seed by seed, for they shared data.

    `sign` is that of the mean: +, − or 0.
    """

    signed: bool
    abstopk: Arm
    topk: Arm
    mean: float
    sd: float
    sign: str


def arms_of(config: PlantedConfig) -> list[Arm]:
    """AbsTopK and TopK at the width, and at twice it: TopK then has a latent for either pole."""
    kinds: tuple[Sparsifier, ...] = ("abstopk", "topk")
    return [Arm(kind, width) for width in (config.width, 2 * config.width) for kind in kinds]


def compare_planted(config: PlantedConfig, seeds: int) -> Iterator[PlantedStep]:
    """Train every arm on each seed's own dictionary, signed and one-sided: one pass each.

    Within a pass the arms share data, initialisation (one seed), k, steps and recipe, AuxK included.
    """
    if seeds < 1:
        raise ValueError("seeds is 0: compare over at least one, and 3 for a claim")
    arms, found, done = arms_of(config), [], 0
    total = 2 * seeds * config.tokens
    for signed in (True, False):
        for seed in range(seeds):
            data = Planted(config, seed, signed)
            saes: list[SparseAutoencoder] = []
            for step, update in enumerate(train(_recipes(config, arms, seed), data), start=1):
                saes = update.saes
                yield PlantedStep(done + min(step * config.batch, config.tokens), total, found)
            done += config.tokens
            for arm, sae in zip(arms, saes, strict=True):
                atoms = count_found(data.dictionary, sae.W_dec.detach())
                found = [*found, Found(signed, seed, arm, atoms, _error(sae, data.held_out()))]
            yield PlantedStep(done, total, found)


def count_found(dictionary: Float[Tensor, "atoms d_in"], W_dec: Float[Tensor, "d_sae d_in"]) -> int:
    """How many atoms some decoder row matches, direction or opposite: max |cos| > 0.9."""
    rows = torch.nn.functional.normalize(W_dec, dim=-1)
    return int(((dictionary @ rows.T).abs().amax(-1) > FOUND).sum())


def summarise(found: Sequence[Found]) -> list[Summary]:
    """Mean and standard deviation (0 for one seed) of every arm, signed codes first."""
    groups: dict[tuple[bool, Arm], list[Found]] = {}
    for one in found:
        groups.setdefault((one.signed, one.arm), []).append(one)
    return [
        Summary(
            signed,
            arm,
            [one.atoms for one in ones],
            *_mean_sd([one.atoms for one in ones]),
            mean(one.nmse for one in ones),
        )
        for (signed, arm), ones in groups.items()
    ]


def differences(found: Sequence[Found]) -> list[Difference]:
    """AbsTopK against TopK at equal widths, and against a TopK of twice its own."""
    atoms = {(one.signed, one.arm, one.seed): one.atoms for one in found}
    arms, seeds = (dict.fromkeys(getattr(one, name) for one in found) for name in ("arm", "seed"))
    result = []
    for signed in dict.fromkeys(one.signed for one in found):
        for ours in arms:
            for other in arms:
                comparable = other.width in (ours.width, 2 * ours.width)
                if (ours.sparsifier, other.sparsifier) != ("abstopk", "topk") or not comparable:
                    continue
                gaps = [atoms[signed, ours, seed] - atoms[signed, other, seed] for seed in seeds]
                middle, spread = _mean_sd(gaps)
                sign = "+" if middle > 0 else "−" if middle < 0 else "0"
                result.append(Difference(signed, ours, other, middle, spread, sign))
    return result


def _recipes(
    config: PlantedConfig, arms: Sequence[Arm], seed: int
) -> list[tuple[SAEConfig, TrainConfig]]:
    recipe = TrainConfig(
        tokens=config.tokens,
        batch=config.batch,
        lr=config.lr,
        dead_after=max(config.batch, config.tokens // 8),
        clip=float(config.d_in),  # hardly ever binds: what the published figures were made with
        seed=seed,
    )
    return [(SAEConfig(config.d_in, arm.width, arm.sparsifier, k=config.k), recipe) for arm in arms]


@torch.no_grad()
def _error(sae: SparseAutoencoder, x: Tensor) -> float:
    rebuilt = sae.decode(sae.encode_sparse(x))
    return float((x - rebuilt).square().sum() / (x - x.mean(0)).square().sum())


def _mean_sd(values: Sequence[int]) -> tuple[float, float]:
    return mean(values), stdev(values) if len(values) > 1 else 0.0


def _generator(seed: int, purpose: int) -> torch.Generator:
    """Far from the small seeds that weights start from: the same stream would plant the answer."""
    return torch.Generator().manual_seed(FIRST_SEED + 3 * seed + purpose)
