"""The feature table as JSON and CSV, and one feature as JSON."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from server.store.feature_table import FeaturePage, list_features
from server.store.saes import SaeRecord
from server.web.deps import SaeDep, SessionDep, VocabulariesDep
from server.web.feature_source import Pole, read_feature
from server.web.feature_view import row_view
from server.web.responses import Json, csv_response
from server.web.table_query import TableQuery
from server.web.table_view import CSV_COLUMNS, csv_row

router = APIRouter(tags=["features"])
QueryDep = Annotated[TableQuery, Query()]


def read_page(session: Session, sae: SaeRecord, query: TableQuery) -> FeaturePage:
    """The rows this state of the table shows; 400 with a sentence if it cannot be read."""
    try:
        return list_features(
            session,
            sae,
            sort=query.sort,
            descending=query.is_descending,
            filters=query.filters,
            search=query.search,
            limit=query.limit,
            after=query.after,
            before=query.before,
        )
    except ValueError as error:
        raise HTTPException(400, f"{error}.") from None


@router.get("/sae/{sae}/features.json")
def get_features(session: SessionDep, sae: SaeDep, query: QueryDep) -> Response:
    """Rows of the feature table; `next` is the `after` of the next page.

    Where a page is ahead of this one, `previous` is its `before`. `total_is_exact` is there, and
    false, where a search found more than `total`.
    """
    page = read_page(session, sae, query)
    rows = [row_view(row) for row in page.rows]
    body: dict[str, object] = {"features": rows, "total": page.total, "next": page.next}
    if page.previous is not None:
        body["previous"] = page.previous
    if not page.is_total_exact:
        body["total_is_exact"] = False
    return Json(body)


@router.get("/sae/{sae}/features.csv")
def get_features_csv(session: SessionDep, sae: SaeDep, query: QueryDep) -> Response:
    """The same rows as a table; raise `limit` for more of them."""
    page = read_page(session, sae, query)
    return csv_response(f"{sae.name}-features", CSV_COLUMNS, map(csv_row, page.rows))


@router.get("/sae/{sae}/feature/{feature}.json")
def get_one_feature(
    session: SessionDep,
    sae: SaeDep,
    feature: int,
    vocabularies: VocabulariesDep,
    pole: Annotated[Pole, Query(description='"-" flips the view: everything mirrors')] = "+",
) -> Response:
    """One feature with both poles; values of the − pole are negative."""
    return Json(read_feature(session, sae, feature, pole, vocabularies))
