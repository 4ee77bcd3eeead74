"""What is freed below something that is kept goes back to the system when it is asked to."""

import sys
from pathlib import Path

import numpy as np
import pytest

from models.heap import give_back


def resident() -> float:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its memory")
def test_memory_freed_below_a_kept_array_is_given_back() -> None:
    np.ones(4_000_000).sum()  # freed: from here on arrays of this size lie on the heap
    arrays = [np.ones(20_000) for _ in range(1_000)]  # 160 MB
    kept = arrays.pop()
    arrays.clear()
    before = resident()
    give_back()
    assert resident() < before - 100
    assert kept.sum() == 20_000


def test_it_may_be_called_anywhere() -> None:
    give_back()
    give_back()
