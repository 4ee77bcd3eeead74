"""Which windows are trained on and which are kept to measure on.

Knows nothing of SAEs.
"""

from collections.abc import Sequence

from models.corpus import Window

SHARE = 0.1
FEWEST_TOKENS = 20


def split(windows: Sequence[Window]) -> tuple[Sequence[Window], Sequence[Window]]:
    """Training and held-out windows: the last tenth of the documents is held out.

    Raises ValueError when the text is one document.
    """
    documents = windows[-1].document + 1
    if documents < 2:
        raise ValueError(
            "the text is a single document, so nothing can be held out: "
            "separate its documents by blank lines or by lines <|endoftext|>"
        )
    first = documents - max(1, int(documents * SHARE))
    cut = next(place for place, window in enumerate(windows) if window.document >= first)
    held_out = sum(len(window.tokens) - 1 for window in windows[cut:])
    if held_out < FEWEST_TOKENS:
        raise ValueError(
            f"the last tenth of the text has {held_out} tokens, but {FEWEST_TOKENS} are needed "
            "to measure on: give a longer text"
        )
    return windows[:cut], windows[cut:]
