"""Where documents come from: files, data sets of the Hugging Face hub, one document after the other.

A source is a path or `hf:NAME[/CONFIG][@REVISION][:SPLIT]`, either with `#COLUMN` where the text is
not called `text`. Parquet, zstd and the hub need the extra `data`. Knows nothing of tokens.
"""

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from models.hub_texts import is_hub, pin, read_hub
from models.json_lines import read_json_lines
from models.text_extra import require_data_extra

END_OF_TEXT = "<|endoftext|>"
COLUMN = "text"
ROWS_AT_ONCE = 1_024  # of a Parquet file
PACKED = (".gz", ".zst")
JSON_LINES = (".jsonl", ".ndjson")
TABLES = (*(kind + end for kind in JSON_LINES for end in ("", *PACKED)), ".parquet")
SURROGATE = re.compile("[\ud800-\udfff]")
KINDS = (".txt", ".txt.gz", ".txt.zst", *TABLES)
REFUSED = {
    ".json": "write its texts one object a line into a .jsonl file",
    ".csv": "write it as .jsonl or .parquet",
    ".tsv": "write it as .jsonl or .parquet",
}
"""What would otherwise be taken for prose, braces and commas included."""


def read_documents(source: Path | str) -> Iterator[str]:
    """The documents of a source, one after the other, empty ones left out.

    In text, documents end with a line `<|endoftext|>` if the file has any, else at blank lines; a row
    of a JSONL file, a Parquet file or a data set is one document. Capitals in a file's ending and a
    byte order mark mean nothing. Whoever changes what is read raises `corpus.READING_VERSION`. Raises ValueError, saying what to
    do, on sources that are missing, empty, binary or without the column.
    """
    place, column = split_column(source)
    found = read_hub(place, column or COLUMN) if is_hub(place) else _read_file(Path(place), column)
    empty = True
    for document in found:
        empty = False
        yield mend_surrogates(document)
    if empty:
        raise ValueError(f"{source} holds no text: give a source with at least one document")


def mend_surrogates(text: str) -> str:
    """The text with every surrogate pair as its character and every lone half as U+FFFD.

    JSON can spell halves of characters; no tokenizer reads them.
    """
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def split_column(source: Path | str) -> tuple[str, str | None]:
    """A source as its place and its column, None where it names none.

    A file whose own name has a `#` is that file.
    """
    text = str(source)
    place, mark, column = text.rpartition("#")
    if not mark or (not is_hub(text) and Path(text).is_file()):
        return text, None
    if not column or not place:
        raise ValueError(f"{text} ends or begins with #: write SOURCE#COLUMN")
    return place, column


def is_table(place: str) -> bool:
    """Whether a source has columns: a data set, JSONL, Parquet."""
    return is_hub(place) or place.lower().endswith(TABLES)


def pin_source(source: str) -> Path | str:
    """A file as its path; a data set with the commit that it has now, so that it can be read again.

    Raises ValueError when a data set cannot be found, or a file is of a kind that is not read.
    """
    place, column = split_column(source)
    if not is_hub(place):
        _check_kind(Path(place))
        return Path(source)
    return str(pin(place)) if column is None else f"{pin(place)}#{column}"


def name_of(source: Path | str) -> str:
    """What to call a source on a page: the file's name, or the data set as it was asked for."""
    text = str(source)
    return text if is_hub(text) else Path(text).name


def _read_file(path: Path, column: str | None) -> Iterator[str]:
    if not path.is_file():
        raise ValueError(f"no text file {path}: check the path")
    _check_kind(path)
    if column is not None and not is_table(path.name):
        raise ValueError(
            f"{path} has no columns, so {column} means nothing: "
            f"only {', '.join(TABLES)} and data sets of the hub have"
        )
    try:
        if path.suffix.lower() == ".parquet":
            yield from _parquet(path, column or COLUMN)
            return
        if is_table(path.name):
            with _open_text(path) as file:
                yield from read_json_lines(file, path, column or COLUMN)
            return
        with _open_text(path) as file:
            is_marked = any(line.strip() == END_OF_TEXT for line in file)
        with _open_text(path) as file:
            yield from _plain(file, is_marked)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error}): give one of {', '.join(KINDS)}"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise ValueError(f"{path} cannot be read ({reason}): check the file") from error


def _check_kind(path: Path) -> None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    if suffixes and suffixes[-1] in REFUSED:
        kind = suffixes[-1]
        raise ValueError(f"{path} is a {kind} file, which is not read: {REFUSED[kind]}")


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """A text file, unpacked as its name says, without its byte order mark."""
    ending = path.suffix.lower()
    if ending == ".zst":
        pyarrow = require_data_extra("pyarrow", path.name)
        with pyarrow.input_stream(str(path), compression="zstd") as packed:
            yield io.TextIOWrapper(packed, encoding="utf-8-sig")
        return
    opener = gzip.open if ending == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file:
        yield file  # type: ignore[misc]


def _parquet(path: Path, column: str) -> Iterator[str]:
    """One document per row, a batch of rows in memory at a time."""
    parquet = require_data_extra("pyarrow.parquet", path.name)
    pyarrow = require_data_extra("pyarrow", path.name)
    try:
        with parquet.ParquetFile(path) as file:
            field = next((field for field in file.schema_arrow if field.name == column), None)
            if field is None:
                raise ValueError(
                    f"{path} has no column {column}, but {', '.join(file.schema_arrow.names)}: "
                    "name the text's with --text-column"
                )
            if not (
                pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type)
            ):
                raise ValueError(
                    f"the column {column} of {path} holds {field.type}, not text: name another"
                )
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column]):
                for text in batch.column(0).to_pylist():
                    if text and text.strip():
                        yield text
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file ({error}): check what it is") from error


def _plain(file: Iterable[str], is_marked: bool) -> Iterator[str]:
    """Documents by end-of-text lines, or by blank ones; one document in memory at a time."""
    lines: list[str] = []
    for line in itertools.chain(file, [END_OF_TEXT if is_marked else "\n"]):
        if line.strip() == END_OF_TEXT if is_marked else not line.strip():
            if text := "".join(lines).strip():
                yield text
            lines = []
        else:
            lines.append(line)
