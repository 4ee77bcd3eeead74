"""What `--text` names, as a run keeps it."""

import io
from pathlib import Path

import pytest

from server.cli_text import text_source
from server.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read({}, data_dir=tmp_path / "data")


def spooled(settings: Settings, text: bytes, column: str | None = None) -> str:
    return text_source(settings, "-", column, io.BytesIO(text))


def test_a_file_is_kept_by_its_absolute_path_and_column(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"")
    assert text_source(settings, "a.parquet") == str(tmp_path / "a.parquet")
    assert text_source(settings, "a.parquet", "story") == f"{tmp_path / 'a.parquet'}#story"
    assert text_source(settings, "a.parquet#story") == f"{tmp_path / 'a.parquet'}#story"
    with pytest.raises(ValueError, match="name it once"):
        text_source(settings, "a.parquet#story", "body")
    with pytest.raises(ValueError, match=r"no text file absent\.txt"):
        text_source(settings, "absent.txt")


def test_a_data_set_stays_as_it_was_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert text_source(settings, "hf:a/b:test", "story") == "hf:a/b:test#story"
    assert text_source(settings, "hf:./here") == f"hf:{tmp_path / 'here'}"


def test_standard_input_is_kept_under_the_hash_of_its_bytes(settings: Settings) -> None:
    first = Path(spooled(settings, "One.\n\nZwei ß.".encode()))
    assert first.read_text(encoding="utf-8") == "One.\n\nZwei ß."
    assert first.parent == settings.data_dir / "texts"
    assert Path(spooled(settings, "One.\n\nZwei ß.".encode())) == first
    assert Path(spooled(settings, b"Two.")) != first
    assert len(list(first.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'{"text": "One."}\n{"text": "Two."}\n', ".jsonl"),
        (b'\n{"text": "' + b"long " * 20_000 + b'"}\n', ".jsonl"),
        (b'\xef\xbb\xbf{"text": "One."}\n', ".jsonl"),
        pytest.param(b'{"text": ' + b"[" * 50_000 + b"\n", ".jsonl", id="deep"),
        pytest.param(b'{"n": ' + b"1" * 5_000 + b"}\n", ".jsonl", id="digits"),
        (b"{He said} nothing.\n", ".txt"),
        (b"\xef\xbb\xbfOne.", ".txt"),
        (b"One.", ".txt"),
    ],
)
def test_json_lines_on_standard_input_are_noticed(
    settings: Settings, text: bytes, kind: str
) -> None:
    assert Path(spooled(settings, text)).suffix == kind


def test_nothing_on_standard_input_leaves_nothing_behind(settings: Settings) -> None:
    with pytest.raises(ValueError, match="nothing came on standard input"):
        spooled(settings, b"")
    assert list((settings.data_dir / "texts").iterdir()) == []
