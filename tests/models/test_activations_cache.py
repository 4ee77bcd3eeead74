"""The cache on disk: the same batches as without it, and nothing half-written is ever read."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from models.activations import (
    ActivationStream,
    BlockStream,
    CachedSource,
    CacheType,
    SinkPolicy,
    cache_writer,
    open_cache,
    write_cache,
)
from models.activations import blocks as blocks_module
from models.corpus import Window
from models.language_model import LanguageModel

LAYER = 1
TOLERANCE = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_TOKENS", 100)
    monkeypatch.setattr(cache_writer, "SHARD_TOKENS", 60)
    monkeypatch.setattr(cache_writer, "SPARE_BYTES", 0)


def write(folder: Path, lm: LanguageModel, windows: list[Window], dtype: CacheType = "float32"):
    return list(write_cache(folder, lm, LAYER, windows, "print", dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("sinks", [SinkPolicy(), SinkPolicy(first=False, outlier_norm=None)])
def test_a_cached_stream_serves_what_the_model_would(
    lm, windows, tmp_path: Path, dtype: CacheType, sinks: SinkPolicy
) -> None:
    write(tmp_path / "cache", lm, windows, dtype)
    cached = BlockStream(CachedSource(open_cache(tmp_path / "cache")), 32, 500, 3, sinks=sinks)
    live = ActivationStream(lm, LAYER, windows, 32, 500, 3, sinks=sinks)
    for one, two in zip(cached, live, strict=True):
        assert torch.equal(one.tokens, two.tokens)
        scale = float(two.activations.abs().max())
        assert_close(one.activations, two.activations, rtol=0, atol=TOLERANCE[dtype] * scale)


def test_a_position_in_the_stream_holds_for_the_cached_one_too(lm, windows, tmp_path: Path) -> None:
    write(tmp_path / "cache", lm, windows)
    live = ActivationStream(lm, LAYER, windows, 32, 500, 3)
    batches = iter(live)
    for _ in range(5):
        next(batches)
    cached = BlockStream(CachedSource(open_cache(tmp_path / "cache")), 32, 500, 3)
    cached.restore(live.state())
    for one, two in zip(cached, batches, strict=True):
        assert torch.equal(one.tokens, two.tokens)


def test_what_it_holds_is_recorded(lm, windows, tmp_path: Path) -> None:
    steps = write(tmp_path / "cache", lm, windows, "float16")
    total = sum(len(window.tokens) for window in windows)
    settings = open_cache(tmp_path / "cache").settings
    assert steps[-1] == (total, total)
    assert len(steps) == len(settings.shards) > 3
    assert (settings.dtype, settings.model, settings.layer) == ("float16", lm.name, LAYER)
    assert (settings.fingerprint, settings.tokens) == ("print", total)
    assert settings.scale > 0
    assert settings.scale != 1


def test_a_cache_that_was_not_finished_is_refused(lm, windows, tmp_path: Path) -> None:
    steps = write_cache(tmp_path / "cache", lm, LAYER, windows, "print")
    next(steps)
    with pytest.raises(ValueError, match="no whole activation cache"):
        open_cache(tmp_path / "cache")


@pytest.mark.parametrize("kind", ["activations", "tokens"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_cache_is_refused(lm, windows, tmp_path: Path, kind: str, damage: str) -> None:
    write(tmp_path / "cache", lm, windows)
    path = tmp_path / "cache" / f"{kind}-00001.bin"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"-00001\.bin (has|is missing)"):
        open_cache(tmp_path / "cache")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "dipole-activations-1"}', '{"format": 2}'])
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cache.json").write_text(text)
    with pytest.raises(ValueError, match=r"cache\.json"):
        open_cache(tmp_path)


def test_contradicting_settings_are_refused(lm, windows, tmp_path: Path) -> None:
    write(tmp_path, lm, windows)
    document = json.loads((tmp_path / "cache.json").read_text())
    document["lengths"].append(7)
    (tmp_path / "cache.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="contradicts itself"):
        open_cache(tmp_path)


def test_a_disk_without_room_is_found_out_before_anything_is_written(
    lm, windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(ValueError, match=r"needs 0\.00 GB"):
        write(tmp_path / "cache", lm, windows)
    assert not (tmp_path / "cache").exists()


def test_a_disk_that_fills_up_leaves_nothing_and_says_so(
    lm, windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def fail(path: Path, write_to) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        path.write_bytes(b"x")

    monkeypatch.setattr(cache_writer, "write_atomically", fail)
    with pytest.raises(OSError, match=r"No space left on device.*free some space"):
        write(tmp_path / "cache", lm, windows)
    assert list((tmp_path / "cache").iterdir()) == []


def test_writing_again_replaces_what_was_there(lm, windows, tmp_path: Path) -> None:
    write(tmp_path, lm, windows)
    write(tmp_path, lm, windows[:4])
    assert len(open_cache(tmp_path).lengths) == 4
    assert len(list(tmp_path.glob("*.bin"))) == 2 * len(open_cache(tmp_path).settings.shards)


def test_activations_beyond_the_dtype_are_refused(
    lm, windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_writer, "_scale", lambda _: 1e6)
    with pytest.raises(OverflowError, match="bfloat16 or float32"):
        write(tmp_path, lm, windows, "float16")
