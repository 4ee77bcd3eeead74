"""The library as JSON and CSV, and one SAE as JSON."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from server.store.corpora import CorpusRecord, corpus_of_index
from server.store.saes import SaeRecord, SaeSummary, list_saes
from server.web.deps import SaeDep, SessionDep
from server.web.look_first import look_first
from server.web.responses import Json, csv_response

router = APIRouter(tags=["library"])

_COLUMNS = tuple(SaeSummary.__dataclass_fields__)
_HIDDEN = ("path", "flips")
_TEXT = ("name", "windows", "tokens", "context", "packing", "bos_policy")


@router.get("/saes.json")
def get_saes(session: SessionDep) -> Response:
    """Every SAE and every set of axes; `live` and `two_sided` are shares."""
    return Json({"saes": [asdict(sae) for sae in list_saes(session)]})


@router.get("/saes.csv")
def get_saes_csv(session: SessionDep) -> Response:
    """The same as a table."""
    rows = [[getattr(sae, name) for name in _COLUMNS] for sae in list_saes(session)]
    return csv_response("saes", _COLUMNS, rows)


@router.get("/sae/{sae}.json")
def get_one_sae(session: SessionDep, sae: SaeDep) -> Response:
    """One SAE: its facts, its configuration, the text of its index, the concepts it tells apart."""
    found = look_first(session, [sae.id])
    concepts = {
        "concepts": [asdict(card) for card in found.cards],
        "did_not_beat_their_null": [asdict(card) for card in found.unbeaten],
    }
    text = text_facts(corpus_of_index(session, sae.published_index_id))
    return Json({**sae_facts(sae), "text": text, **concepts})


def text_facts(corpus: CorpusRecord | None) -> dict[str, Any] | None:
    """The text of an index, and how it became windows, without where it lies on the server."""
    if corpus is None:
        return None
    return {name: getattr(corpus, name) for name in _TEXT}


def sae_facts(sae: SaeRecord) -> dict[str, Any]:
    """The record without where its files lie on the server."""
    return {name: value for name, value in asdict(sae).items() if name not in _HIDDEN}
