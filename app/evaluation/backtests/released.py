"""The part of a backtest that readers see: origins with enough incidents, and totals over them.

A total over all origins would reveal small ones by subtraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidInput, NotReady
from app.evaluation.backtests.execute import Protocol, TaskResult
from app.geo.grid import Grid
from app.releases.store import MIN_GROUP
from models.incidents import Incidents

Assemble = Callable[[Sequence[TaskResult], Protocol], dict[str, Any]]


def with_released(
    result: dict[str, Any],
    results: Sequence[TaskResult],
    protocol: Protocol,
    incidents: Incidents,
    grid: Grid,
    assemble: Assemble,
) -> dict[str, Any]:
    """Add `released`: None if all origins have enough incidents, else the result over those that do."""
    origins = tuple(o for o in protocol.origins_s if _n(protocol, incidents, grid, o) >= MIN_GROUP)
    if origins == protocol.origins_s:
        return {**result, "released": None}
    if not origins:
        return {**result, "released": {}}
    shown = [one for one in results if one.task.origin_s in origins]
    return {**result, "released": assemble(shown, replace(protocol, origins_s=origins))}


def _n(protocol: Protocol, incidents: Incidents, grid: Grid, origin_s: int) -> int:
    test = protocol.held_out(incidents, origin_s)
    return int((grid.locate(test.x_m, test.y_m) >= 0).sum())


def moved_inside(incidents: Incidents, grid: Grid, lost: NDArray[np.bool_]) -> Incidents:
    """Move the incidents outside every cell to the centre of the nearest one."""
    x_m, y_m = incidents.x_m.copy(), incidents.y_m.copy()
    east, north = grid.centres_m()
    for k in np.flatnonzero(lost):
        near = int(np.argmin((east - x_m[k]) ** 2 + (north - y_m[k]) ** 2))
        x_m[k], y_m[k] = east[near], north[near]
    return replace(incidents, x_m=x_m, y_m=y_m)


def snap_to_releases(origins_s: Sequence[int], bounds_s: Sequence[int]) -> tuple[int, ...]:
    """Move origins back to the instant of a release, without duplicates.

    Raises:
        NotReady: an origin lies before the first release.
    """
    found = []
    for origin in origins_s:
        before = [bound for bound in bounds_s if bound <= origin]
        if not before:
            raise NotReady("an origin lies before the first release", code="too_few_released")
        found.append(before[-1])
    return tuple(sorted(set(found)))


def check_periods(protocol: Protocol) -> None:
    """Check that each origin's horizon reaches the next release.

    Raises:
        InvalidInput: a horizon is too short.
    """
    for origin in protocol.origins_s:
        if protocol.end_of(origin) <= origin:
            raise InvalidInput(
                f"no release of {MIN_GROUP} incidents or more ends within "
                f"{protocol.horizon_days} days of an origin; choose a longer horizon",
                field="horizon_days",
            )
