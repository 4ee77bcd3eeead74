"""Fixtures of the model tests: a tiny language model and windows of text."""

import pytest
import torch

from models.corpus import Window, make_windows
from models.language_model import LanguageModel
from tests.models.tiny import TEXTS, tiny_lm


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def lm() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="session")
def windows(lm: LanguageModel) -> list[Window]:
    texts = [f"{first} {second}" for first in TEXTS for second in TEXTS]
    return list(make_windows(lm, texts, context=24))
