"""`/v1/regions/{region}/evaluations`: places of one's own, judged on past periods."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from app.core.roles import Role
from app.forecasts.evaluations.schemas import EvaluationReply, EvaluationRequest
from app.forecasts.evaluations.service import evaluate
from app.forecasts.selectors import Forecasts
from app.http.json_body import json_body, json_request
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(
    prefix="/v1/regions/{region}/evaluations", tags=["forecasts"], responses=DOCUMENTED
)


@router.post("", openapi_extra=json_request(EvaluationRequest))
@allow(Role.ANALYST, large=True)
async def evaluate_places(
    request: Request, forecasts: Forecasts, region: RegionId
) -> EvaluationReply:
    """Judge places on past periods: hits, PAI, PEI, RRI, beside the best cells of the same area.

    Of the served model it takes a version that knew nothing of the period; where there is none,
    `champion` is null and a note says so. Only for keys that may list incidents: places and periods
    of one's choice can single incidents out.
    """
    asked = await json_body(request, EvaluationRequest)
    found = await run_in_threadpool(evaluate, forecasts, region, asked.question())
    return EvaluationReply.model_validate(found)
