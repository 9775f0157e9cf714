"""`/v1/regions/{region}/data-report`: how good the data is."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from app.core.roles import Role
from app.data_quality.page import data_report_page
from app.data_quality.plots import data_report_plot
from app.data_quality.service import data_report
from app.http.app_state import State
from app.http.permissions import allow

router = APIRouter(prefix="/v1/regions/{region}/data-report", tags=["incidents"])
MEDIA_TYPES = {
    "json": "application/json",
    "html": "text/html",
    "png": "image/png",
    "svg": "image/svg+xml",
}


@router.get("")
@allow(Role.ANALYST)
def show(
    state: State,
    region: str,
    upload: Annotated[int | None, Query(ge=1, lt=2**63, description="one upload only")] = None,
    f: Annotated[str, Query(pattern="^(json|html|png|svg)$")] = "json",
) -> Response:
    """What was accepted, repeated and rejected, and what is odd about times, places and volume."""
    report = data_report(state.engine, region, upload)
    if f == "html":
        content = data_report_page(report).encode()
    elif f == "json":
        content = orjson.dumps(report)
    else:
        content = data_report_plot(report, f)
    return Response(content, media_type=MEDIA_TYPES[f])
