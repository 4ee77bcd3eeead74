"""One feature's questions in order: the words for its poles, then the tests of these words.

Whoever is asked is passed in as a function from question to answer, so this knows no network.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from models.explain.answers import read_judgements, read_words
from models.explain.prompts import Question, Words, ask_detection, ask_sign, ask_words
from models.explain.trial import PoleContexts, Trial, make_trial

Ask = Callable[[Question], str]


class Explained(NamedTuple):
    """The words and how they did; a score is None where there were too few contexts to test on.

    `sign_swapped` is the sign test with the poles' words exchanged: below 0.5 if they carry the sign.
    """

    words: Words
    detection: dict[str, float | None]
    sign: float | None
    sign_swapped: float | None
    contexts: int


def interview(poles: Mapping[str, PoleContexts], ask: Ask, seed: int) -> Explained:
    """Ask for words, then score them on contexts that were not shown.

    `poles` has "+" and "-"; one may be empty. Raises ValueError when both are, MalformedAnswer when an
    answer cannot be read, and whatever `ask` raises: there is no score without all answers.
    """
    random = np.random.default_rng(seed)
    plus, minus = poles["+"], poles["-"]
    if not plus.shown and not minus.shown:
        raise ValueError("the feature has no contexts: nothing can be explained")
    answer = ask(ask_words(plus.shown, minus.shown))
    words = read_words(answer, bool(plus.shown), bool(minus.shown))
    detection: dict[str, float | None] = {}
    tested = 0
    for pole, contexts in poles.items():
        trial = make_trial(contexts.held_out, contexts.quiet, random)
        detection[pole] = None
        if trial is not None and words.of(pole):
            tested += len(trial.snippets)
            detection[pole] = _judge(
                trial, ask(ask_detection(pole, words.of(pole), trial.snippets))
            )
    trial = make_trial(plus.held_out, minus.held_out, random)
    if trial is None or not words.plus or not words.minus:
        return Explained(words, detection, None, None, tested)
    sign = _judge(trial, ask(ask_sign(words, trial.snippets)))
    swapped = _judge(trial, ask(ask_sign(words.swapped(), trial.snippets)))
    return Explained(words, detection, sign, swapped, tested + len(trial.snippets))


def _judge(trial: Trial, answer: str) -> float:
    return trial.balanced_accuracy(read_judgements(answer, len(trial.snippets)))
