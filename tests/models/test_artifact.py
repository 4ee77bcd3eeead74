"""Files that are whole or absent: what is left when there is no room for them."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.artifact import save_json, save_tensors

ROOM = 10_000  # bytes


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file may grow beyond ROOM: what a full disk does, for this process alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("kind", ["tensors", "json"])
def test_a_file_without_room_is_an_oserror_and_leaves_what_was_there(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"

    def save(size: int) -> None:
        if kind == "json":
            save_json(path, [0] * size)
        else:
            save_tensors(path, {"x": torch.zeros(size)})

    save(10)
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"(?i)too large|cannot be written"):
        save(ROOM)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
