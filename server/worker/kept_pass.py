"""What an unfinished pass over a corpus has gathered, kept on disk so that the next attempt goes on.

One file per set of SAEs, corpus and signs, below the data directory; it is whole or absent, so kill -9
costs at most the time since it was last written. Knows nothing of runs.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from models.index.indexer import EXAMPLES, Indexer
from models.index.state import load_indexers, save_indexers

FOLDER = "indexing"
VERSION = 1  # of what the arrays mean
SECONDS = 120.0  # between two savings, so shorter passes write nothing
SHARE = 20  # and at least so many times what the last one took
DAYS_KEPT = 14


class KeptPass:
    """The file of one pass; `marks` are all that must be the same for it to go on."""

    def __init__(self, data_dir: Path, marks: Sequence[object]) -> None:
        text = json.dumps([VERSION, EXAMPLES, *marks], default=str)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.path = data_dir / FOLDER / f"{name}.safetensors"
        self._pause = SECONDS
        self._saved = time.monotonic()

    def restore(self, indexers: Sequence[Indexer]) -> int:
        """Bring fresh indexers to where an earlier attempt was; returns its number of windows."""
        self._remove_old()
        return load_indexers(self.path, indexers)

    def keep_now_and_then(
        self, indexers: Sequence[Indexer], windows: int, is_last: bool = False
    ) -> None:
        """Save if it is time to, or at the end of a pass long enough to have been saved before.

        Raises OSError when the disk is full.
        """
        is_time = time.monotonic() - self._saved >= self._pause
        if is_time or (is_last and self.path.is_file()):
            self.keep(indexers, windows)

    def keep(self, indexers: Sequence[Indexer], windows: int) -> None:
        """Save what is indexed after so many windows of the corpus."""
        begun = time.monotonic()
        save_indexers(self.path, indexers, windows)
        self._saved = time.monotonic()
        self._pause = max(SECONDS, SHARE * (self._saved - begun))

    def forget(self) -> None:
        """The pass is done."""
        self.path.unlink(missing_ok=True)

    def _remove_old(self) -> None:
        """Passes that nobody has gone on with for weeks, and what was half saved a day ago."""
        for pattern, days in (("*.safetensors", DAYS_KEPT), (".*.tmp", 1)):
            for path in self.path.parent.glob(pattern):
                if time.time() - path.stat().st_mtime > days * 86_400:
                    path.unlink(missing_ok=True)
