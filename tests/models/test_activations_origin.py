"""A saved position is taken up on the very activations that it was saved of, and on no others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.activations import (
    ActivationStream,
    BlockStream,
    CachedSource,
    SinkPolicy,
    open_cache,
    write_cache,
)
from models.corpus import Window
from models.language_model import LanguageModel
from tests.models.tiny import tiny_lm

Change = Callable[[LanguageModel, list[Window]], ActivationStream]


def make(lm, windows, layer: int = 1, sinks: SinkPolicy | None = None) -> ActivationStream:
    return ActivationStream(lm, layer, windows, 32, 1_000, 3, sinks=sinks)


def of_another_model(_: LanguageModel, windows: list[Window]) -> ActivationStream:
    other = tiny_lm()
    other.name = "another"
    return make(other, windows)


def of_other_weights(_: LanguageModel, windows: list[Window]) -> ActivationStream:
    other = tiny_lm()
    next(other.model.parameters()).data.add_(1)
    return make(other, windows)


def of_another_text(lm: LanguageModel, windows: list[Window]) -> ActivationStream:
    tokens = windows[5].tokens.copy()
    tokens[1] = tokens[1] % 3 + 1
    return make(lm, [*windows[:5], replace(windows[5], tokens=tokens), *windows[6:]])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (of_another_model, r"\(model .*, here another\)"),
        (of_other_weights, r"\(weights .*…, here .*…\)"),
        (of_another_text, r"\(text .*…, here .*…\)"),
        (lambda lm, windows: make(lm, windows, layer=0), r"\(layer 1, here 0\)"),
        (
            lambda lm, windows: make(lm, windows, sinks=SinkPolicy(outlier_norm=5.0)),
            r"\(sinks.outlier_norm 10.0, here 5.0\)",
        ),
    ],
)
def test_a_position_of_other_activations_is_refused_by_name(
    lm, windows, change: Change, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        change(lm, windows).restore(make(lm, windows).state())


def test_a_position_in_a_rounded_cache_is_none_in_the_model_s_own_activations(
    lm, windows, tmp_path: Path
) -> None:
    list(write_cache(tmp_path, lm, 1, windows, "print", "float16"))
    cached = BlockStream(CachedSource(open_cache(tmp_path)), 32, 1_000, 3)
    cached.restore(cached.state())
    with pytest.raises(ValueError, match="dtype float16, here float32"):
        make(lm, windows).restore(cached.state())


def test_a_position_that_an_earlier_version_saved_is_taken_up(lm, windows) -> None:
    state = make(lm, windows).state()
    del state["origin"]
    make(lm, windows, layer=0).restore(state)
