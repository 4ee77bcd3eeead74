"""Rows of a compiled loop shared out over as many threads as torch uses.

The loops let go of the interpreter's lock, so plain threads do; no second OpenMP runtime enters the
process. Knows nothing of what the loops compute.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def share_rows(loop: Callable[[int, int], None], rows: int) -> None:
    """Call `loop(start, stop)` over parts of `rows`, one part for each of torch's threads."""
    threads = min(torch.get_num_threads(), rows)
    if threads <= 1:
        loop(0, rows)
        return
    bounds = [rows * part // threads for part in range(threads + 1)]
    list(_pool(threads).map(loop, bounds[:-1], bounds[1:]))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")
