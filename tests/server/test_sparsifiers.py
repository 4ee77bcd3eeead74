"""The sparsifiers that messages and pages name are those that there are."""

from typing import get_args

import pytest

from frontend.filters import SPARSIFIERS as LABELS
from models.sae import SAEConfig
from models.sae import config as family
from server import protocol


def test_messages_name_every_sparsifier() -> None:
    assert set(get_args(protocol.Sparsifier)) == set(family.SPARSIFIERS)
    assert set(get_args(protocol.TrainableSparsifier)) == set(family.SPARSIFIERS) - {"dim"}
    assert set(protocol.SPARSIFIERS_WITH_K) == set(family.WITH_K)


@pytest.mark.parametrize("kind", family.SPARSIFIERS)
def test_messages_know_which_keep_both_signs(kind: str) -> None:
    threshold = 0.1 if kind in family.LEARNT_THRESHOLD else 0.0
    k = 2 if kind in family.WITH_K else None
    config = SAEConfig(4, 8, kind, k, threshold)  # type: ignore[arg-type]
    assert (kind in protocol.ONE_SIDED_SPARSIFIERS) == (not config.is_signed)
    assert (kind in (*protocol.SIGNED_SPARSIFIERS, "dim")) == config.is_signed


def test_every_sparsifier_has_a_label() -> None:
    assert set(LABELS) == set(family.SPARSIFIERS)
