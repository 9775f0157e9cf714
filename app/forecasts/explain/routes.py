"""`/v1/regions/{region}/forecasts/explain`: why here."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from app.core.roles import Role
from app.forecasts.explain.document import END_OF_IDS, Asked, asked_cells, explanation
from app.forecasts.explain.schemas import ExplainReply
from app.forecasts.plan import Selector
from app.forecasts.replies.responses import single_reply
from app.forecasts.schemas import forecast_replies
from app.forecasts.selectors import Forecasts, TimeSelection, VersionSelection
from app.http.app_state import CallerOf
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(
    prefix="/v1/regions/{region}/forecasts", tags=["forecasts"], responses=DOCUMENTED
)


@router.get(
    "/explain",
    response_class=Response,
    responses=forecast_replies({"json": ExplainReply}, cached=False),
)
@allow(Role.READER)
def explain(
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    when: TimeSelection,
    which: VersionSelection,
    cell: Annotated[int | None, Query(ge=0, lt=END_OF_IDS, description="a cell's id")] = None,
    cells: Annotated[
        str | None,
        Query(
            max_length=4000,
            json_schema_extra={"pattern": r"^[0-9]{1,15}(,[0-9]{1,15})*$"},
            description="ids of several cells, a zone for instance, joined by commas",
        ),
    ] = None,
) -> Response:
    """Explain a place's forecast: factors that multiply to the whole, its past, and its kind.

    Callers who may list incidents also get the place's incidents by month, which the audit log records.
    """
    wanted = asked_cells(cell, cells)
    category, model, as_of, state = which
    selector = Selector(**vars(when), category=category, model=model, as_of=as_of, state=state)
    found = explanation(forecasts, region, Asked(selector, wanted, caller.lists_incidents))
    return single_reply(orjson.dumps(found), found, "json")
