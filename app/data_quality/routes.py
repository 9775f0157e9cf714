"""`/v1/regions/{region}/data-report`: how good the data are; `/hour-of-week`: when incidents happened."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from app.core.media_types import MEDIA_TYPES
from app.core.roles import Role
from app.data_quality.page import data_report_page
from app.data_quality.plots import data_report_plot
from app.data_quality.schemas import DataReport, HourOfWeek
from app.data_quality.service import data_report, week_of_data
from app.http.app_state import State
from app.http.parameters import CategoryNames, RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered

router = APIRouter(prefix="/v1/regions/{region}", tags=["incidents"], responses=DOCUMENTED)


@router.get(
    "/data-report",
    response_class=Response,
    responses={200: offered({"json": DataReport}, ["html", "png", "svg"])},
)
@allow(Role.ANALYST)
def show(
    state: State,
    region: RegionId,
    upload: Annotated[int | None, Query(ge=1, lt=2**63, description="one upload only")] = None,
    f: Annotated[str, Query(pattern="^(json|html|png|svg)$")] = "json",
) -> Response:
    """Report what was accepted, repeated and rejected, and what is odd about times and places."""
    report = data_report(state.engine, region, upload)
    if f == "html":
        content = data_report_page(report).encode()
    elif f == "json":
        content = orjson.dumps(report)
    else:
        content = data_report_plot(report, f)
    return Response(content, media_type=MEDIA_TYPES[f])


@router.get("/hour-of-week")
@allow(Role.ANALYST)
def hour_of_week(state: State, region: RegionId, category: CategoryNames = None) -> HourOfWeek:
    """Count stored incidents by hour of the week, before any model: exact, by interval, unknown."""
    return HourOfWeek.model_validate(week_of_data(state.engine, region, category))
