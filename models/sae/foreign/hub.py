"""SAEs of a model hub: `owner/name`, or `owner/name/folder` for one of a collection.

Reads the settings first, so that of a collection only the SAE that is wanted is fetched, at the one
commit that the name stood for. Knows nothing of what the files mean.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.sae.foreign.formats import SETTINGS_FILES, Found, find_sae

PARTS = 2  # of a hub id: owner and name


class Fetched(NamedTuple):
    """An SAE's files on this machine; `commit` of the hub they are from, None for a local folder."""

    found: Found
    commit: str | None


def fetch_sae(source: str, layer: int | None) -> Fetched:
    """Find an SAE in a folder, or fetch it from the hub; `layer` chooses among several.

    Raises ValueError, saying what to do, when there is none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return Fetched(find_sae(path.resolve(), layer), None)
    if path.is_absolute() or source.startswith((".", "~")):
        raise ValueError(f"no folder {source}: check the path")
    repository, folder = _split(source)
    inside = f"{folder}/" if folder else ""
    settings = [f"{inside}{deep}{name}" for name in SETTINGS_FILES for deep in ("", "*/")]
    root = _snapshot(source, repository, None, settings)
    commit = root.name
    if folder and not (root / folder).is_dir():
        raise ValueError(f"{repository} has no folder {folder} with an SAE: check the name")
    found = find_sae(root / folder, layer)
    inside = found.folder.relative_to(root).as_posix()
    files = [name if inside == "." else f"{inside}/{name}" for name in found.files]
    root = _snapshot(source, repository, commit, files)
    return Fetched(found._replace(folder=root / inside), commit)


def _split(source: str) -> tuple[str, str]:
    parts = source.strip("/").split("/")
    if ".." in parts:
        raise ValueError(f"{source!r} leads out of the repository: name a folder inside it")
    return "/".join(parts[:PARTS]), "/".join(parts[PARTS:])


def _snapshot(source: str, repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder of a snapshot that holds these files; it is named by its commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ValueError(
            f"no SAE {source!r}: it is neither a folder here nor a repository that can be fetched "
            "from the hub; check the name"
        ) from error
