"""The command `explain`: an address that would give something away is refused, and not quoted."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from server.cli import main
from server.store.runs import list_runs
from server.store.session import Database

SECRETS = [
    ("http://user:PASSWORD@localhost/v1", "a user or a password in the address"),
    ("https://PASSWORD@localhost/v1", "a user or a password in the address"),
    (r"http://a\b:PASSWORD@localhost", "a user or a password in the address"),
    ("http://localhost/v1?key=PASSWORD", "holds neither ? nor #"),
    ("http://localhost/v1#PASSWORD", "holds neither ? nor #"),
    ("ftp://user:PASSWORD@localhost/v1", "should match pattern"),
]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPOLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DIPOLE_DATABASE_URL", sqlite_url)


def asking(address: str, *more: str) -> int:
    return main(["explain", "--sae", "1", "--endpoint", address, "--model", "m", "--json", *more])


@pytest.mark.parametrize(("address", "words"), SECRETS)
def test_an_address_with_a_secret_is_refused_before_there_is_a_run(
    sqlite_database: Database, capsys: pytest.CaptureFixture[str], address: str, words: str
) -> None:
    assert asking(address) == 2

    written = capsys.readouterr()
    assert "endpoint: " in written.err
    assert words in written.err
    assert "PASSWORD" not in written.out + written.err
    with sqlite_database.read() as session:
        assert list_runs(session) == []


@pytest.mark.parametrize(("address", "words"), SECRETS)
def test_the_error_in_full_does_not_quote_it_either(address: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        asking(address, "--debug")

    assert words in str(caught.value)
    assert "PASSWORD" not in str(caught.value)
