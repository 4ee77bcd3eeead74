"""The parts of the feature page: its figures, its halves, its steering buttons.

Knows the JSON of a feature, flipped or not; no HTML and no database.
"""

from bisect import bisect_left
from collections.abc import Collection
from typing import Any, Literal

from frontend.filters import count, percent, pole_glyph, pole_name, signed, sparsifier_name
from server.protocol import ONE_SIDED_SPARSIFIERS
from server.store.saes import SaeRecord
from server.web.contexts import Fact, Half, Neighbours, Preset
from server.web.feature_view import View
from server.web.flip import OTHER
from server.web.strips import context_view

PRESETS = (("-", 2), ("-", 1), ("+", 1), ("+", 2))


def facts_of(view: View) -> list[Fact]:
    """The figures of the page's head."""
    return [
        Fact("density −", percent(view["density"]["-"], 2), _density_help(view, "-")),
        Fact("density +", percent(view["density"]["+"], 2), _density_help(view, "+")),
        Fact("pole balance", signed(view["pole_balance"]), _balance_help(view["pole_balance"])),
        Fact("opposition", signed(view["opposition"]), _opposition_help(view)),
        Fact("consistency", signed(view["consistency"]), _consistency_help(view["consistency"])),
        Fact("tokens indexed", count(view["tokens"])),
    ]


def half_of(
    view: View,
    pole: str,
    sae: SaeRecord,
    special_ids: Collection[int],
    by: str = "extreme",
    is_whole: bool = False,
) -> Half:
    """One pole as it is drawn, its contexts by extreme token or by mean.

    `is_whole`: with the values of each context's whole text.
    """
    part = view["poles"][pole]
    contexts = part["contexts" if by == "extreme" else "contexts_by_mean"]
    return Half(
        pole=pole,
        stored_pole=pole if view["pole"] == "+" else OTHER[pole],
        label=pole_name(part["label"], part["max"]),
        density=view["density"][pole],
        max=part["max"],
        quantile=part["quantile_999"],
        promoted=part["promoted"],
        suppressed=part["suppressed"],
        contexts=[context_view(context, special_ids, is_whole) for context in contexts],
        quantiles=part["quantiles"] if view["firings"][pole] else (),
        label_words=part["label_words"],
        token_statistics=part["token_statistics"],
        why_empty="" if contexts else _why_empty(view, pole, sae, by),
    )


def neighbours_of(view: View, side: Literal["aligned", "opposed"]) -> Neighbours:
    """The stored neighbours that do point that way: of a few features even the last come far off."""
    stored = view["neighbours"][side]
    rows = [row for row in stored if (row["cosine"] > 0) == (side == "aligned") and row["cosine"]]
    way = "the same way" if side == "aligned" else "the other way"
    return Neighbours(rows, f"none points {way}" if stored else "none stored")


def presets_of(view: View) -> list[Preset]:
    """Buttons for strengths of each pole, in the order of the page.

    Strengths in addresses have the stored sign, so a flipped page's are turned back.
    """
    sign = 1 if view["pole"] == "+" else -1
    return [_preset(view["poles"][pole], pole, times, sign) for pole, times in PRESETS]


def _preset(part: dict[str, Any], pole: str, times: int, sign: int) -> Preset:
    quantile = part["quantile_999"]
    return Preset(
        pole=pole,
        text=f"{pole_glyph(pole)}{times} {part['label'] or 'pole'}",
        strength=round(sign * times * quantile, 6),
        disabled=quantile == 0,
    )


def _density_help(view: View, pole: str) -> str:
    fired = view["firings"]
    if not fired["+"] and not fired["-"]:
        return f"never fired on {count(view['tokens'])} tokens"
    if not fired[pole]:
        return "this pole is silent, the other one fires"
    return "fires on every token" if fired[pole] == view["tokens"] else ""


def _balance_help(value: float | None) -> str:
    if value is None:
        return "it never fired"
    if abs(value) > 0.9:
        return f"practically only {'above' if value > 0 else 'below'} zero"
    if abs(value) < 0.1:
        return "both poles carry the same weight"
    return f"leans to {'above' if value > 0 else 'below'} zero"


def _opposition_help(view: View) -> str:
    if view["opposition"] is None:
        return "not scored: whether the poles are opposites or strangers is unknown"
    null = view["opposition_null"] or {}
    text = (
        "of the words at the two extremes, not of whole texts: how much better they replace each other "
        "than strangers' do, in their spread"
    )
    percentiles = null.get("percentiles")
    if percentiles:
        return f"{text}: above {bisect_left(percentiles, view['opposition'])} % of strangers"
    null_95 = null.get("null_95")
    return text if null_95 is None else f"{text}; 95 % of strangers stay below {signed(null_95)}"


def _consistency_help(value: float | None) -> str:
    if value is None:
        return ""
    return "κ of the signs in a text's two halves: 1 is about whole texts, 0 about single tokens"


def _is_one_sided(sae: SaeRecord) -> bool:
    """Whether no code can be below zero: as recorded with the SAE, else by its sparsifier."""
    return not sae.config.get("is_signed", sae.sparsifier not in ONE_SIDED_SPARSIFIERS)


def _why_empty(view: View, pole: str, sae: SaeRecord, by: str) -> str:
    stored_pole = pole if view["pole"] == "+" else OTHER[pole]
    firings = view["firings"][pole]
    if firings and by == "mean":
        return (
            f"This pole fired on {count(firings)} tokens, but the index keeps no context whose"
            " mean is on its side of zero."
        )
    if firings:
        return f"This pole fired on {count(firings)} tokens, but the index keeps no context of it."
    if stored_pole == "-" and _is_one_sided(sae):
        return (
            f"A {sparsifier_name(sae.sparsifier)} SAE keeps only values above zero,"
            " so none of its features has this pole. An AbsTopK SAE keeps both signs."
        )
    if not view["firings"][OTHER[pole]]:
        return (
            f"This feature never fired on {count(view['tokens'])} tokens, on neither side of zero."
            " A longer text may still find where it does."
        )
    side = "below" if pole == "-" else "above"
    return f"This pole is empty: on all {count(view['tokens'])} indexed tokens the feature was never {side} zero."
