"""`/v1/audit`: the audit log for admins."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.audit import store as audit
from app.audit.schemas import AuditPage
from app.core.roles import Role
from app.http.app_state import State
from app.http.parameters import TIME_PATTERN, moment
from app.http.permissions import allow
from app.http.problems import DOCUMENTED

MAX_ENTRIES = 1000
router = APIRouter(prefix="/v1/audit", tags=["access"], responses=DOCUMENTED)


@router.get("")
@allow(Role.ADMIN)
def newest(
    request: Request,
    state: State,
    chain: Annotated[
        str | None,
        Query(max_length=63, description="a region's id; * for the service; reads are included"),
    ] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    actor: Annotated[str | None, Query(max_length=300)] = None,
    before: Annotated[
        str | None,
        Query(
            max_length=64,
            description="only older entries; without an offset it is UTC",
            json_schema_extra={"pattern": TIME_PATTERN},
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 100,
) -> AuditPage:
    """List the newest entries that match, newest first; `hotslot audit verify` checks the chains."""
    request.app.state.gate.reads.write(state.engine)
    older_than = moment(before, "before")
    if older_than is not None and older_than.tzinfo is None:
        older_than = older_than.replace(tzinfo=UTC)
    with state.engine.connect() as connection:
        found = audit.newest(
            connection, chain=chain, action=action, actor=actor, before=older_than, limit=limit
        )
    return AuditPage.model_validate({"entries": found})
