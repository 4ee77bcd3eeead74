"""Who is written next: the requests that wait for a place in the batch, and those that have one.

Fair between users: whoever holds the fewest rows comes first, then whoever has waited longest.
Knows rows and places; nothing of models, threads or HTTP. Not thread-safe: the device thread owns it.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass(eq=False)
class Place(Generic[Job]):
    """One request in line: who asked, how many rows it needs."""

    job: Job
    user: str
    rows: int
    order: int = field(default=0)


class Line(Generic[Job]):
    """At most `most_rows` rows are written at once, and `most_waiting` requests wait."""

    def __init__(self, most_rows: int, most_waiting: int) -> None:
        self.most_rows = most_rows
        self.most_waiting = most_waiting
        self.waiting: list[Place[Job]] = []
        self.running: list[Place[Job]] = []
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether nobody more can wait."""
        return len(self.waiting) >= self.most_waiting

    @property
    def rows(self) -> int:
        """How many rows are being written."""
        return sum(place.rows for place in self.running)

    def join(self, job: Job, user: str, rows: int) -> Place[Job]:
        """Wait. Raises ValueError on a request that could never be taken."""
        if rows > self.most_rows:
            raise ValueError(
                f"{rows} rows are asked for, but at most {self.most_rows} are written at once: ask for fewer"
            )
        self._count += 1
        place = Place(job, user, rows, self._count)
        self.waiting.append(place)
        return place

    def next(self) -> Place[Job] | None:
        """Take the next request into the batch; None while nobody waits or it does not fit yet.

        A large request that is next keeps its turn: smaller ones do not slip past it for ever.
        """
        if not self.waiting:
            return None
        held = Counter[str]()
        for place in self.running:
            held[place.user] += place.rows
        chosen = min(self.waiting, key=lambda place: (held[place.user], place.order))
        if self.rows + chosen.rows > self.most_rows:
            return None
        self.waiting.remove(chosen)
        self.running.append(chosen)
        return chosen

    def leave(self, place: Place[Job]) -> None:
        """Give the place back, wherever it is."""
        for group in (self.waiting, self.running):
            if place in group:
                group.remove(place)

    def positions(self) -> list[tuple[Place[Job], int]]:
        """Everybody who waits with how many come before: 0 is next."""
        held = Counter[str]()
        for place in self.running:
            held[place.user] += place.rows
        left = list(self.waiting)
        order: list[tuple[Place[Job], int]] = []
        while left:
            chosen = min(left, key=lambda place: (held[place.user], place.order))
            left.remove(chosen)
            held[chosen.user] += chosen.rows
            order.append((chosen, len(order)))
        return order
