"""Windows of a text of any length: their tokens lie in a temporary file, not in memory.

Knows nothing of where the text came from, nor of databases.
"""

import hashlib
import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import RawIOBase
from typing import Self, overload

import numpy as np

from models.corpus import Window

WIDTH = np.dtype(np.int32).itemsize


@dataclass(frozen=True, eq=False)
class _Kept:
    """All windows of a text: 16 bytes of memory for each."""

    file: int  # its descriptor
    document: np.ndarray  # int32 [windows]
    start: np.ndarray  # int32 [windows]: where its text begins in the document
    end: np.ndarray  # int64 [windows]: the tokens of all windows up to and with this one
    digest: str

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.file)


class Windows(Sequence[Window]):
    """Windows to be read as a list is; a slice of them is a view that reads nothing.

    The file has no name and is gone with the last view of it.
    """

    def __init__(self, kept: _Kept, chosen: range) -> None:
        self._kept = kept
        self._chosen = chosen

    @classmethod
    def gather(cls, windows: Iterable[Window]) -> Self:
        """Write windows out as they come.

        Raises ValueError, saying what to do, when the folder for temporary files is full.
        """
        document, start, end, total = array("i"), array("i"), array("q"), 0
        digest = hashlib.sha256()
        with tempfile.TemporaryFile(buffering=0) as file:
            for window in windows:
                _write(file, window.tokens.astype(np.int32).tobytes())
                digest.update(_bytes_of(window))
                total += len(window.tokens)
                document.append(window.document)
                start.append(window.start)
                end.append(total)
            descriptor = os.dup(file.fileno())
        columns = (
            np.frombuffer(column, dtype=column.typecode)
            if column
            else np.zeros(0, dtype=column.typecode)
            for column in (document, start, end)
        )
        return cls(_Kept(descriptor, *columns, digest.hexdigest()), range(len(end)))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window, BOS included: int64 [windows]."""
        chosen = self._chosen
        places = np.arange(chosen.start, chosen.stop, chosen.step)
        return np.diff(self._kept.end, prepend=0)[places]

    @property
    def tokens(self) -> int:
        """How many tokens all of them hold, BOS included."""
        return int(self.lengths.sum())

    @property
    def digest(self) -> str:
        """What identifies them: a SHA-256 of each one's document, start, length and tokens.

        Known without reading for all windows of a text; a view reads its own.
        """
        if self._chosen == range(len(self._kept.end)):
            return self._kept.digest
        digest = hashlib.sha256()
        for window in self:
            digest.update(_bytes_of(window))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, key: int) -> Window: ...

    @overload
    def __getitem__(self, key: slice) -> Self: ...

    def __getitem__(self, key: int | slice) -> Window | Self:
        if isinstance(key, slice):
            return type(self)(self._kept, self._chosen[key])
        index = self._chosen[key]
        kept = self._kept
        first = int(kept.end[index - 1]) if index else 0
        length = int(kept.end[index]) - first
        read = bytearray(os.pread(kept.file, length * WIDTH, first * WIDTH))
        tokens = np.frombuffer(read, dtype=np.int32)
        return Window(int(kept.document[index]), int(kept.start[index]), tokens)


def _bytes_of(window: Window) -> bytes:
    """The same on every machine."""
    head = struct.pack("<qqq", window.document, window.start, len(window.tokens))
    return head + window.tokens.astype("<i4").tobytes()


def _write(file: RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise ValueError(
            f"the text's tokens cannot be kept in {tempfile.gettempdir()}"
            f" ({error.strerror or error}): free some space there, or set TMPDIR to a folder"
            " on another disk"
        ) from error
