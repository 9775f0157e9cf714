"""`/v1/regions/{region}/uploads/{upload}` and `/erasures`: erase incidents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.core.roles import Role
from app.erasure.schemas import ErasureList, UploadErasure
from app.erasure.service import NamedBy, erase_incident, erase_upload
from app.erasure.store import list_erasures
from app.evaluation.backtests.checkpoints import delete_saved_tasks
from app.forecasts.selectors import Forecasts
from app.forecasts.service import ForecastService
from app.http.app_state import ApiState, State
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.regions.store import get_region

router = APIRouter(prefix="/v1/regions/{region}", tags=["incidents"], responses=DOCUMENTED)


@router.delete("/uploads/{upload}")
@allow(Role.ADMIN)
def delete_upload(
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    upload: Annotated[int, Path(ge=1, lt=2**63, examples=[7])],
) -> UploadErasure:
    """Erase all incidents of an upload, and the versions trained on them and few others.

    Versions trained on many incidents are marked and replaced. `serves` is the champion now; without
    one, forecasts are refused with `no_model` until the training is done.
    """
    found = erase_upload(state.engine, region, upload)
    forget_erased(state, forecasts, region)
    return UploadErasure.model_validate(found)


def forget_erased(state: ApiState, forecasts: ForecastService, region: str) -> None:
    """Drop what this process and its home folder store besides the database."""
    forecasts.forget_region(region)
    delete_saved_tasks(state.settings)


@router.get("/erasures")
@allow(Role.ANALYST)
def erasures(state: State, region: RegionId) -> ErasureList:
    """List what was erased: how many incidents, which versions had learnt from them."""
    with state.engine.connect() as connection:
        found = list_erasures(connection, get_region(connection, region).key)
    return ErasureList.model_validate({"erasures": found})


@router.delete("/incidents/{external_id:path}", status_code=204)
@allow(Role.ADMIN)
def delete(
    state: State,
    forecasts: Forecasts,
    region: RegionId,
    external_id: Annotated[str, Path(examples=["2021-118237"])],
    by: Annotated[NamedBy | None, Query(description="what the path's last part is")] = None,
    feed: Annotated[
        str | None, Query(max_length=100, description="of the external id or reference")
    ] = None,
) -> Response:
    """Erase an incident by its external id, the `id` that the listing shows, or its reference.

    Several incidents may share a reference: all are erased. Slashes are sent as %2F.
    """
    erase_incident(state.engine, region, external_id, by=by, feed=feed)
    forget_erased(state, forecasts, region)
    return Response(status_code=204)
