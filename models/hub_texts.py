"""Data sets of the Hugging Face hub as documents, streamed: nothing is downloaded whole.

`hf:NAME[/CONFIG][@REVISION][:SPLIT]`, where NAME may also be a folder of data files on this machine.
Reads through `datasets` (the extra `data`), which runs no code of a data set. Knows nothing of tokens.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.text_extra import require_data_extra

PREFIX = "hf:"
SPLIT = "train"


@dataclass(frozen=True)
class HubText:
    """One split of a data set; `revision` None means its newest."""

    name: str
    config: str | None = None
    revision: str | None = None
    split: str = SPLIT

    @property
    def is_local(self) -> bool:
        """Whether it is a folder here and needs no network."""
        return self.name.startswith(("/", "."))

    def __str__(self) -> str:
        config = f"/{self.config}" if self.config else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.name}{config}{revision}:{self.split}"


def is_hub(source: Path | str) -> bool:
    """Whether a source names a data set rather than a file."""
    return str(source).startswith(PREFIX)


def parse_hub(source: str) -> HubText:
    """Read `hf:NAME[/CONFIG][@REVISION][:SPLIT]`. Raises ValueError when it is not of that form."""
    rest, _, split = source.removeprefix(PREFIX).partition(":")
    rest, _, revision = rest.partition("@")
    if not rest.strip("/. ") or (":" in source.removeprefix(PREFIX) and not split) or ":" in split:
        raise ValueError(f"{source} names no data set: write hf:NAME[/CONFIG][@REVISION][:SPLIT]")
    if rest.startswith(("/", ".")):
        return HubText(rest, None, revision or None, split or SPLIT)
    parts = rest.split("/", 2)
    config = parts[2] if len(parts) == 3 else None
    return HubText("/".join(parts[:2]), config or None, revision or None, split or SPLIT)


def pin(source: str) -> HubText:
    """The data set with the commit that its revision names now.

    A folder's is a hash of its files. Raises ValueError when there is none or the hub does not answer.
    """
    text = parse_hub(source)
    if text.is_local:
        return replace(text, revision=_hash_folder(Path(text.name)))
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(text.name, revision=text.revision)
    except Exception as error:  # of httpx, the hub's client or the name itself
        raise ValueError(_sentence(text, error)) from error
    return replace(text, revision=info.sha)


def read_hub(source: str, column: str) -> Iterator[str]:
    """The texts of a split, row by row, empty ones left out. Raises ValueError on what is no text."""
    datasets = require_data_extra("datasets", source)
    text = parse_hub(source)
    rows = iter(_open(datasets, text, column))
    for number in itertools.count(1):
        try:
            row = next(rows, None)
        except Exception as error:  # the stream broke: whichever file system it came through
            raise ValueError(_sentence(text, error)) from error
        if row is None:
            return
        value = row[column]
        if value is not None and not isinstance(value, str):
            raise ValueError(
                f"row {number} of {text} holds {type(value).__name__} in {column}, not text: "
                "name the text's column with --text-column"
            )
        if value and value.strip():
            yield value


def _open(datasets: Any, text: HubText, column: str) -> Any:
    try:
        found = datasets.load_dataset(
            text.name,
            text.config,
            split=text.split,
            streaming=True,
            revision=None if text.is_local else text.revision,
        )
        names = found.column_names or list(next(iter(found.take(1)), {column: ""}))
    except Exception as error:  # dozens of kinds, by what went wrong where
        raise ValueError(_sentence(text, error)) from error
    if column not in names:
        raise ValueError(
            f"{text} has no column {column}, but {', '.join(names)}: "
            "name the text's with --text-column"
        )
    return found.select_columns([column])


def _sentence(text: HubText, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    place = "the folder" if text.is_local else "the hub, or the network to it"
    return (
        f"{text} cannot be read ({reason}): check name, config and split, and {place}; "
        "a file of yours works without it"
    )


def _hash_folder(folder: Path) -> str:
    """What stands in a folder's files: their names and bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise ValueError(f"{folder} holds no files: give a folder of data files or a hub name")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
