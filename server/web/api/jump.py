"""What the jump box finds: features by number or label, concepts, SAEs, pages."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from server.protocol.concepts import CONTRASTS
from server.store.feature_table import LONGEST_SEARCH, FeatureSummary, list_features
from server.store.features import labels_of
from server.store.saes import SaeRecord, SaeSummary, get_sae, list_saes
from server.web.deps import SessionDep
from server.web.responses import Json

router = APIRouter(tags=["library"])

MOST = 12
MOST_FEATURES = 8
"""Behind pages and SAEs, which nobody should have to search for among features."""
PER_SAE = 5
READ = 50


@dataclass(frozen=True)
class Match:
    """Something to jump to."""

    title: str
    hint: str
    url: str


PAGES = (
    Match("Library", "page", "/"),
    Match("Prompt", "page", "/prompt"),
    Match("Minimal pair", "page", "/contrast"),
    Match("Steer", "page", "/steer"),
    Match("Concepts", "page", "/concept"),
    Match("Compare", "page", "/compare"),
    Match("List", "page", "/list"),
    Match("Runs", "page", "/runs"),
    Match("Train", "page", "/train"),
    Match("Import", "page", "/import"),
    Match("Keep an axis", "page", "/axis"),
    Match("API", "page", "/docs"),
)


_FEATURE = re.compile(r"^feature\s+(?=\S)", re.IGNORECASE)
"""A word before a number or label that says what is looked for, and is not looked for itself."""


@router.get("/jump.json")
def get_jump(
    session: SessionDep,
    q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    sae: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """At most twelve matches, each once: pages, concepts, SAEs, then features, those of `sae` first.

    A number asks for a feature before anything that has it in its name.
    """
    text = _FEATURE.sub("", q.strip())
    saes = sorted(list_saes(session), key=lambda entry: (str(entry.id) != sae, entry.id))
    features = list(islice(_once(_features(session, saes, text)), MOST_FEATURES))
    places = list(_places(saes, text))
    if _is_number(text):
        matches = [*features, *places]
    else:
        matches = [*places[: MOST - len(features)], *features]
    return Json({"matches": [asdict(match) for match in matches[:MOST]]})


def _features(session: Session, saes: Sequence[SaeSummary], text: str) -> Iterator[Match]:
    if not text:
        return
    for summary in saes:
        record = get_sae(session, summary.id)
        if record is None or record.published_index_id is None:
            continue
        if _is_number(text):
            yield from _numbered(session, record, int(text))
        for row in _labelled_first(session, record, text):
            yield _feature(record, row.feature, row.label)


def _once(matches: Iterator[Match]) -> Iterator[Match]:
    """A feature found by its number may be found by its label, too."""
    seen: set[str] = set()
    for match in matches:
        if match.url not in seen:
            seen.add(match.url)
            yield match


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10


def _labelled_first(session: Session, sae: SaeRecord, text: str) -> list[FeatureSummary]:
    """The strongest features that match; a match in a label counts more than one in a token."""
    found = list_features(session, sae, search=text, sort="max", descending=True, limit=READ)
    return sorted(found.rows, key=lambda row: "label" not in row.matched)[:PER_SAE]


def _numbered(session: Session, sae: SaeRecord, feature: int) -> Iterator[Match]:
    labels = (
        labels_of(session, sae.published_index_id or 0, [feature]) if feature < sae.d_sae else {}
    )
    for number, label in labels.items():
        yield _feature(sae, number, label)


def _feature(sae: SaeRecord, feature: int, label: str) -> Match:
    return Match(
        f"{feature}  {label or 'unlabelled'}", sae.name, f"/sae/{sae.id}/feature/{feature}"
    )


def _concepts(saes: Sequence[SaeSummary], wanted: str) -> Iterator[Match]:
    """Built-in contrasts, against the SAE of the page or the one that the concept page begins with."""
    able = [sae for sae in saes if sae.state == "ready" and sae.sparsifier != "dim"]
    for contrast in CONTRASTS if able else ():
        if wanted in contrast:
            yield Match(contrast, "concept", f"/concept?sae={able[0].id}&contrast={contrast}")


def _places(saes: Sequence[SaeSummary], text: str) -> Iterator[Match]:
    wanted = text.lower()
    if wanted:
        yield from (page for page in PAGES if wanted in page.title.lower())
        yield from _concepts(saes, wanted)
    for sae in saes:
        if wanted in sae.name.lower():
            yield Match(sae.name, "axes" if sae.sparsifier == "dim" else "SAE", f"/sae/{sae.id}")
            if sae.has_map:
                yield Match(f"{sae.name}: map", "map", f"/sae/{sae.id}/map")
    if not wanted:
        yield from PAGES
