"""Documents from files of every kind and from data sets, and what happens when there are none."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from models.corpus import bos_policy, fingerprint, make_windows, packing_policy
from models.hub_texts import HubText, parse_hub
from models.language_model import LanguageModel
from models.text_extra import require_data_extra
from models.texts import name_of, pin_source, read_documents, split_column


def write_jsonl(path: Path, texts: list[str], column: str = "text") -> Path:
    path.write_text("".join(json.dumps({column: text}) + "\n" for text in texts))
    return path


def write_parquet(path: Path, texts: list[str | None], column: str = "text") -> Path:
    table = pyarrow.table({"id": list(range(len(texts))), column: texts})
    pyarrow.parquet.write_table(table, path, row_group_size=2)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set as a folder: two splits of JSONL."""
    found = tmp_path / "stories"
    found.mkdir()
    write_jsonl(found / "train.jsonl", ["One.", " ", "Two.\n\nTwo."])
    write_jsonl(found / "test.jsonl", ["Three."])
    return found


def test_documents_end_at_marks_or_at_blank_lines(tmp_path: Path) -> None:
    marked, blank = tmp_path / "marked.txt", tmp_path / "blank.txt"
    marked.write_text("One.\n\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n\n<|endoftext|>\n")
    blank.write_text("One.\nStill one.\n\n\nTwo.\n")
    assert list(read_documents(marked)) == ["One.\n\nStill one.", "Two."]
    assert list(read_documents(str(blank))) == ["One.\nStill one.", "Two."]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("txt", "One.\n\nTwo.\n"),
        ("jsonl", '{"text": "One."}\n\n{"text": ""}\n{"text": null}\n{"text": "Two."}\n'),
    ],
)
def test_text_and_jsonl_are_read_packed_or_not(
    tmp_path: Path, kind: str, content: str, ending: str
) -> None:
    pack = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": lambda raw: pyarrow.compress(raw, codec="zstd", asbytes=True),
    }[ending]
    path = tmp_path / f"a.{kind}{ending}"
    path.write_bytes(pack(content.encode()))
    assert list(read_documents(path)) == ["One.", "Two."]


@pytest.mark.parametrize("end", ["\n\n", "\n<|endoftext|>\n"])
def test_a_text_file_is_read_one_document_at_a_time(tmp_path: Path, end: str) -> None:
    path = tmp_path / "long.txt"
    path.write_text(end.join(f"{number} " + "word " * 2_000 for number in range(400)))  # 4 MB
    tracemalloc.start()
    found = sum(1 for _ in read_documents(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 400
    assert peak < path.stat().st_size / 4


@pytest.mark.parametrize("blank", ["\n", " \n", "\t \n", "\r\n"])
def test_a_line_of_spaces_parts_documents_as_an_empty_one_does(tmp_path: Path, blank: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(f"One.\n{blank}Two.\n".encode())
    assert list(read_documents(path)) == ["One.", "Two."]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "One.\n\nTwo."),
        ("a.txt", "<|endoftext|>\nOne.\n<|endoftext|>\nTwo."),
        ("a.jsonl", '{"text": "One."}\n{"text": "Two."}\n'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_text(
    tmp_path: Path, name: str, content: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / (name if pack is bytes else f"{name}.gz")
    path.write_bytes(pack(content.encode("utf-8-sig")))
    assert list(read_documents(path)) == ["One.", "Two."]


@pytest.mark.parametrize("name", ["a.JSONL", "a.ndjson", "a.Ndjson.GZ", "a.jsonl.Gz"])
def test_json_lines_have_other_endings_too(tmp_path: Path, name: str, lm: LanguageModel) -> None:
    path = tmp_path / name
    content = b'{"text": "One.", "story": "Two."}\n'
    path.write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
    assert list(read_documents(path)) == ["One."]
    assert list(read_documents(f"{path}#story")) == ["Two."]
    assert fingerprint(lm, path) != fingerprint(lm, f"{path}#story")


def test_a_parquet_file_may_be_called_in_capitals(tmp_path: Path) -> None:
    assert list(read_documents(write_parquet(tmp_path / "A.PARQUET", ["One."]))) == ["One."]


@pytest.mark.parametrize("name", ["a.json", "a.CSV", "a.tsv.gz"])
def test_tables_that_are_not_read_are_not_taken_for_prose(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"[]")
    for act in (lambda: list(read_documents(path)), lambda: pin_source(str(path))):
        with pytest.raises(ValueError, match=r"is not read: write .*\.jsonl"):
            act()


def test_halves_of_characters_are_mended(tmp_path: Path, lm: LanguageModel) -> None:
    path = tmp_path / "halves.jsonl"
    path.write_text('{"text": "a \\ud83d\\ude00 b"}\n{"text": "c \\ud800 d \\udc00"}\n')
    assert list(read_documents(path)) == ["a \U0001f600 b", "c \ufffd d \ufffd"]
    assert list(make_windows(lm, read_documents(path)))


def test_parquet_is_read_row_by_row_without_the_empty_ones(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ["One.", None, "", "Two.\n\nTwo.", "Three."])
    assert list(read_documents(path)) == ["One.", "Two.\n\nTwo.", "Three."]


def test_a_column_of_another_name_is_read_when_it_is_named(tmp_path: Path) -> None:
    parquet = write_parquet(tmp_path / "a.parquet", ["One."], "story")
    jsonl = write_jsonl(tmp_path / "a.jsonl", ["Two."], "story")
    assert list(read_documents(f"{parquet}#story")) == ["One."]
    assert list(read_documents(Path(f"{jsonl}#story"))) == ["Two."]
    with pytest.raises(ValueError, match="no column text, but id, story"):
        list(read_documents(parquet))
    with pytest.raises(ValueError, match=r"line 1 is not an object with a \"text\".*--text-column"):
        list(read_documents(jsonl))
    with pytest.raises(ValueError, match="int64, not text"):
        list(read_documents(f"{parquet}#id"))


def test_a_file_with_a_hash_in_its_name_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a#b.txt"
    path.write_text("One.")
    assert list(read_documents(path)) == ["One."]
    assert split_column(f"{write_jsonl(tmp_path / 'c.jsonl', ['x'])}#story")[1] == "story"


def test_a_column_means_nothing_in_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One.")
    with pytest.raises(ValueError, match="has no columns"):
        list(read_documents(f"{path}#story"))
    with pytest.raises(ValueError, match="write SOURCE#COLUMN"):
        list(read_documents(f"{path}#"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.txt", b"", "holds no text"),
        ("blank.txt", b" \n\n \n", "holds no text"),
        ("binary.txt", b"\x89PNG\xff\xfe\x00\x01" * 50, "not UTF-8 text"),
        ("fake.txt.gz", b"not gzip at all", "not UTF-8 text"),
        ("fake.txt.zst", b"not zstd at all", "cannot be read"),
        ("fake.parquet", b"not parquet at all", "not a Parquet file"),
        ("bad.jsonl", b'{"no": 1}\n', "line 1"),
    ],
)
def test_useless_files_are_refused_with_a_sentence(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        list(read_documents(path))
    with pytest.raises(ValueError, match="no text file"):
        list(read_documents(tmp_path / "absent.txt"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:a", HubText("a")),
        ("hf:a/b", HubText("a/b")),
        ("hf:a/b:valid", HubText("a/b", split="valid")),
        ("hf:a/b/c", HubText("a/b", "c")),
        ("hf:a/b/c@main:test", HubText("a/b", "c", "main", "test")),
        ("hf:/data/x:train[:10]", None),
        ("hf:/data/x:test", HubText("/data/x", split="test")),
        ("hf:", None),
        ("hf:a:", None),
    ],
)
def test_names_of_data_sets_are_read(source: str, expected: HubText | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="names no data set"):
            parse_hub(source)
    else:
        assert parse_hub(source) == expected
        assert parse_hub(str(expected)) == expected


def test_a_data_set_streams_the_split_and_column_asked_for(folder: Path) -> None:
    assert list(read_documents(f"hf:{folder}")) == ["One.", "Two.\n\nTwo."]
    assert list(read_documents(Path(f"hf:{folder}:test"))) == ["Three."]
    with pytest.raises(ValueError, match="no column story, but text"):
        list(read_documents(f"hf:{folder}#story"))
    with pytest.raises(ValueError, match="cannot be read"):
        list(read_documents(f"hf:{folder}:nowhere"))


def test_a_column_of_a_data_set_that_is_no_text_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", ["One."])
    with pytest.raises(ValueError, match=r"row 1 of .* holds int in id, not text"):
        list(read_documents(f"hf:{tmp_path}#id"))


def test_a_data_set_of_parquet_files_streams_too(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", ["One.", None, "Two."], "story")
    assert list(read_documents(f"hf:{tmp_path}#story")) == ["One.", "Two."]


def test_a_hub_that_does_not_answer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, lm: LanguageModel
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("[Errno 101] Network is unreachable\nand a second line")

    monkeypatch.setattr("datasets.load_dataset", fail)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fail)
    for act in (lambda: list(read_documents("hf:a/b")), lambda: fingerprint(lm, "hf:a/b")):
        with pytest.raises(ValueError, match=r"hf:a/b:train cannot be read .*the hub") as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(ValueError, match=r"pip install .dipole\[data\]"):
        require_data_extra("no_such_library", "a.parquet")


def test_the_fingerprint_of_a_data_set_names_its_commit_config_and_split(
    monkeypatch: pytest.MonkeyPatch, lm: LanguageModel
) -> None:
    commits = {"a/b": "1" * 40}
    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info",
        lambda self, name, revision=None: SimpleNamespace(sha=revision or commits[name]),
    )
    sources = ["hf:a/b", "hf:a/b:test", "hf:a/b/c", "hf:a/b#story", f"hf:a/b@{'2' * 40}"]
    marks = [fingerprint(lm, source) for source in sources]
    assert len(set(marks)) == len(marks)
    assert fingerprint(lm, f"hf:a/b@{'1' * 40}:train#text") == marks[0]
    commits["a/b"] = "2" * 40
    assert fingerprint(lm, "hf:a/b") == marks[4]


def test_the_fingerprint_of_a_file_is_of_its_bytes_kind_and_column(
    tmp_path: Path, folder: Path, lm: LanguageModel
) -> None:
    jsonl, plain = tmp_path / "a.jsonl", tmp_path / "a.txt"
    jsonl.write_text('{"text": "One.", "story": "Two."}\n')
    plain.write_text(jsonl.read_text())
    sources = [str(jsonl), f"{jsonl}#story", str(plain), f"hf:{folder}", f"hf:{folder}:test"]
    marks = [fingerprint(lm, source) for source in sources]
    assert len(set(marks)) == len(marks)
    assert fingerprint(lm, jsonl) == marks[0]
    (folder / "test.jsonl").write_text('{"text": "Four."}\n')
    assert fingerprint(lm, f"hf:{folder}") != marks[3]


def test_documents_of_a_table_never_share_a_window(tmp_path: Path, lm: LanguageModel) -> None:
    texts = ["The girl had a ball.\n\nShe was happy.", "Tom ran.", "It was cold. " * 8]
    path = write_parquet(tmp_path / "a.parquet", list(texts))
    windows = list(make_windows(lm, read_documents(path), context=16))
    assert {window.document for window in windows} == {0, 1, 2}
    assert "16 tokens" in packing_policy(lm, 16)
    assert "BOS" in bos_policy(lm)


def test_sources_are_called_by_what_was_asked_for() -> None:
    assert name_of(Path("/a/b/stories.txt.gz")) == "stories.txt.gz"
    assert name_of("hf:a/b/c:test") == "hf:a/b/c:test"
