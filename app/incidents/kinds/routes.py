"""`/v1/regions/{region}/categories`: kinds, their aliases, groups and weights."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from app.core.roles import Role
from app.http.app_state import CallerOf, State
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.incidents.kinds.tables import Names, change_kinds, describe_kinds
from app.incidents.releases import known_categories
from app.incidents.schemas import Aliases, Groups, KindsReply, Weights
from app.regions.store import get_region

router = APIRouter(
    prefix="/v1/regions/{region}/categories", tags=["categories"], responses=DOCUMENTED
)


@router.get("")
@allow(Role.READER)
def show(state: State, caller: CallerOf, region: RegionId) -> KindsReply:
    """List a region's categories with the names that count as them, its groups and weights."""
    with state.engine.begin() as connection:
        found = get_region(connection, region)
        names = None if caller.lists_incidents else known_categories(connection, found)
        return KindsReply.model_validate(describe_kinds(connection, found, names))


def _changed(request: Request, state: Any, region: str, table: str, names: Names) -> KindsReply:
    changed = change_kinds(state.engine, region, table, lambda _before: names)
    request.app.state.forecasts.forget_kinds(region)
    with state.engine.connect() as connection:
        return KindsReply.model_validate(describe_kinds(connection, changed, None))


@router.put("/aliases")
@allow(Role.ADMIN)
def set_aliases(request: Request, state: State, region: RegionId, given: Aliases) -> KindsReply:
    """Replace the aliases: incidents of one name count as another category when they are read.

    What was sent stays stored. Versions trained before say that they know former categories.
    """
    return _changed(request, state, region, "aliases", given.names())


@router.delete("/aliases")
@allow(Role.ADMIN)
def remove_aliases(request: Request, state: State, region: RegionId) -> KindsReply:
    """Remove all aliases."""
    return _changed(request, state, region, "aliases", {})


@router.put("/groups")
@allow(Role.ADMIN)
def set_groups(request: Request, state: State, region: RegionId, given: Groups) -> KindsReply:
    """Replace the groups: names for several categories together, usable as `category`."""
    return _changed(request, state, region, "groups", dict(given.groups))


@router.delete("/groups")
@allow(Role.ADMIN)
def remove_groups(request: Request, state: State, region: RegionId) -> KindsReply:
    """Remove all groups."""
    return _changed(request, state, region, "groups", {})


@router.put("/weights")
@allow(Role.ADMIN)
def set_weights(request: Request, state: State, region: RegionId, given: Weights) -> KindsReply:
    """Replace the weights of harm, which `weight=harm` applies; other categories count as 0."""
    return _changed(request, state, region, "weights", dict(given.weights))


@router.delete("/weights")
@allow(Role.ADMIN)
def remove_weights(request: Request, state: State, region: RegionId) -> KindsReply:
    """Remove all weights."""
    return _changed(request, state, region, "weights", {})
