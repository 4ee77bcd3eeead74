"""What is freed below something that is kept goes back to the system when it is asked to."""

import os
import platform
import subprocess
import sys

import pytest

from models.heap import give_back

SCRIPT = """
import os
from pathlib import Path

import numpy as np

from models.heap import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

np.ones(4_000_000).sum()  # freed: from here on arrays of this size lie on the heap
arrays = [np.ones(20_000) for _ in range(1_000)]  # 160 MB
kept = arrays.pop()
arrays.clear()
before = resident()
give_back()
print((before - resident()) / 1e6)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library keeps nothing back")
def test_memory_freed_below_a_kept_array_is_given_back() -> None:
    """In a process of its own: what lies on the heap of this one depends on the tests before."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True, env=environment
    )
    assert float(found.stdout) > 100


def test_it_may_be_called_anywhere() -> None:
    give_back()
    give_back()
