"""Long work as a generator of steps: others use the device between two of them.

Knows nothing of what the work is.
"""

from collections.abc import Generator
from typing import TypeVar

Answer = TypeVar("Answer")


def run_to_end(steps: Generator[None, None, Answer]) -> Answer:
    """What the steps return, where nobody else waits for the device."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
