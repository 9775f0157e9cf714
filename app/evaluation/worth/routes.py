"""`/v1/regions/{region}/worth`: what the forecast is worth over what everybody can make."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core.roles import Role
from app.evaluation.backtests.request import MAX_DELAY_DAYS
from app.evaluation.worth.schemas import Worth
from app.evaluation.worth.service import region_worth
from app.http.app_state import CallerOf, State
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

router = APIRouter(prefix="/v1/regions/{region}/worth", tags=["backtests"], responses=DOCUMENTED)


@router.get("")
@allow(Role.READER)
def worth(
    state: State,
    caller: CallerOf,
    region: RegionId,
    delay_days: Annotated[
        int | None,
        Query(
            ge=0,
            le=MAX_DELAY_DAYS,
            description="how late incidents are known; by the age of the data if not given",
        ),
    ] = None,
) -> Worth:
    """Say what the forecast is worth over last year's list, and what of it is the hour.

    `own` is the region's newest backtest of the served model, else its version's validation; `typical` is
    what cities of its size and delay got.
    """
    found = region_worth(state.engine, region, delay_days, exact=caller.lists_incidents)
    return Worth.model_validate(found)
