"""`/v1/audit`: the audit log for admins."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request

from app.audit import store as audit
from app.core.roles import Role
from app.http.app_state import State
from app.http.permissions import allow
from app.http.times import TIME_PATTERN
from app.http.times import moment as parse_moment

MAX_ENTRIES = 1000
router = APIRouter(prefix="/v1/audit", tags=["access"])


def entry_json(entry: audit.Entry) -> dict[str, Any]:
    """An entry as the API shows it."""
    return {
        "chain": entry.chain,
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "details": orjson.loads(entry.details),
        "hash": entry.hash,
    }


@router.get("")
@allow(Role.ADMIN)
def newest(
    request: Request,
    state: State,
    chain: Annotated[
        str | None, Query(max_length=63, description="a region's id; * for the service")
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
) -> dict[str, Any]:
    """The newest entries that match, newest first; `hotslot audit verify` checks the chains."""
    request.app.state.gate.reads.write(state.engine)
    moment = parse_moment(before, "before")
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    with state.engine.connect() as connection:
        found = audit.newest(
            connection, chain=chain, action=action, actor=actor, before=moment, limit=limit
        )
    return {"entries": [entry_json(entry) for entry in found]}
