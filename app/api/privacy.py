"""`/v1/regions/{region}/uploads/{upload}` and `/erasures`: taking data back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from app.api.rules import allow
from app.api.state import State
from app.domain.access import Role
from app.services.erase import erase_upload
from app.storage.erasures import list_erasures
from app.storage.regions import get_region

router = APIRouter(prefix="/v1/regions/{region}", tags=["incidents"])


@router.delete("/uploads/{upload}")
@allow(Role.ADMIN)
def delete_upload(
    state: State, region: str, upload: Annotated[int, Path(ge=1, lt=2**63)]
) -> dict[str, Any]:
    """Erase all incidents of an upload; versions that had learnt from them are marked and replaced."""
    found = erase_upload(state.engine, region, upload)
    return {
        "erased": found.n_incidents,
        "versions": found.versions,
        "training_run": str(found.run_id) if found.run_id else None,
    }


@router.get("/erasures")
@allow(Role.ANALYST)
def erasures(state: State, region: str) -> dict[str, Any]:
    """What was erased: how many incidents, which versions had learnt from them; never what they were."""
    with state.engine.connect() as connection:
        found = list_erasures(connection, get_region(connection, region).key)
    return {
        "erasures": [
            {
                "id": e.id,
                "what": e.what,
                "incidents": e.n_incidents,
                "versions": e.versions,
                "training_run": str(e.run_id) if e.run_id else None,
                "created_at": e.created_at.isoformat(),
            }
            for e in found
        ]
    }
