"""Hub ids: settings first, then the one SAE that is wanted, both at one commit. No network."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from models.sae.foreign import fetch_sae, read_foreign

FOREIGN = Path(__file__).parent / "fixtures" / "foreign"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that holds the fixtures as `peers/saes`; the list gains what is fetched from it."""
    snapshot = tmp_path / COMMIT
    names: list[str] = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        if repository != "peers/saes":
            raise LocalEntryNotFoundError(repository)
        assert revision in (None, COMMIT)
        snapshot.mkdir(exist_ok=True)
        for path in sorted(FOREIGN.rglob("*.*")):
            name = path.relative_to(FOREIGN).as_posix()
            if path.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, snapshot / name)
                names.append(name)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return names


def test_one_sae_of_a_collection_is_fetched_at_the_commit_of_its_settings(
    fetched: list[str],
) -> None:
    found, commit = fetch_sae("peers/saes/sparsify/run", 2)
    weights = [name for name in fetched if not name.endswith(".json")]
    assert commit == COMMIT
    assert weights == ["sparsify/run/layers.2/sae.safetensors"]
    assert read_foreign(found)[0].config.d_sae == 32


def test_a_folder_of_a_repository_can_be_named(fetched: list[str]) -> None:
    found, _ = fetch_sae("peers/saes/dictionary_learning/topk", None)
    assert found.format == "dictionary_learning"
    assert "dictionary_learning/topk/ae.pt" in fetched
    assert not any("batchtopk" in name for name in fetched)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nobody/nothing", "neither a folder here nor a repository"),
        ("no id at all!", "neither a folder here nor a repository"),
        ("peers/saes/missing", "no folder missing"),
        ("peers/saes/../../etc", "leads out of the repository"),
        ("./gone", "no folder ./gone"),
        ("/nowhere/at/all", "check the path"),
    ],
)
@pytest.mark.usefixtures("fetched")
def test_what_is_not_there_is_refused_in_a_sentence(source: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fetch_sae(source, None)


def test_a_local_folder_has_no_commit() -> None:
    found, commit = fetch_sae(str(FOREIGN / "saelens" / "topk"), None)
    assert (found.format, commit) == ("saelens", None)
