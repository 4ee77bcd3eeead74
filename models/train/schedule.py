"""What changes over the steps: the learning rate, and the weight of the sparsity penalty.

Pure functions of the step, so that a resumed run needs no state of theirs.
"""

import math

from models.train.config import TrainConfig


def rate_share(config: TrainConfig, step: int) -> float:
    """Share of `lr` in the given step, counted from 0: linear warm-up, plateau, decay (science §3).

    The first and the last step have a rate above 0; behind the last one it is 0.
    """
    rising = (step + 1) / max(1.0, config.warmup * config.steps)
    falling = (config.steps - step) / max(1.0, config.decay * config.steps)
    falling = min(1.0, max(0.0, falling))
    if config.decay_shape == "cosine":
        falling = 0.5 * (1 - math.cos(math.pi * falling))
    return min(1.0, rising) * falling


def sparsity_share(config: TrainConfig, step: int) -> float:
    """Share of `sparsity_weight` in the given step, counted from 0: linear from 0 to 1 (vSAE §3)."""
    return min(1.0, (step + 1) / max(1.0, config.sparsity_warmup * config.steps))
