"""What entered and left the flagged cells since the week before, or since the state before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.forecasts.forecast import Forecast
from app.forecasts.hotspots.selection import HotspotOptions, hotspot_rows
from app.forecasts.replies.serialisers import ids_of
from app.forecasts.service import ForecastService
from app.registry.history import older_version
from app.states.store import FROZEN, number_before

WEEK = timedelta(days=7)


def changes_since(
    service: ForecastService,
    forecast: Forecast,
    options: HotspotOptions,
    ids: Sequence[int | str],
) -> tuple[dict[str, Any], dict[int | str, int] | None]:
    """Compare the flagged cells with those forecast for the same hours a week before or by the state before.

    Returns:
        Changes for the reply, and the ranks (from 1) of the earlier list by cell; without an earlier
        list these are None, and the changes hold the reason.
    """
    previous = options.compare == "previous"
    before = (_state_before if previous else _week_before)(service, forecast)
    if isinstance(before, str):
        nothing: dict[str, Any] = {"entered": [], "remained": [], "left": [], "kept": 0}
        return {"against": None, **nothing, "reason": before}, None
    old_ids: Sequence[int | str] = ids_of(before, hotspot_rows(before, options))
    ranks: dict[int | str, int] = {one: rank for rank, one in enumerate(old_ids, start=1)}
    now = set(ids)
    left = [one for one in old_ids if one not in now]
    older = before.version.record.version
    changes = {
        "against": {
            "model_version": older,
            "state": before.version.state_id,
            "data_until": before.version.data_until.isoformat(),
            "at": before.at.isoformat(),
            "expected_total": before.expected_total,
        },
        "entered": [one for one in ids if one not in ranks],
        "remained": [one for one in ids if one in ranks],
        "left": left,
        "left_rank_before": [ranks[one] for one in left],
        "kept": len(now & set(old_ids)),
        "reason": "same version" if _is_same(before, forecast) else None,
    }
    return changes, ranks


def _is_same(one: Forecast, other: Forecast) -> bool:
    """Return whether two forecasts come from the same state of the same version."""
    named = [(f.version.record.version, f.version.state_id) for f in (one, other)]
    return named[0] == named[1]


def _state_before(service: ForecastService, forecast: Forecast) -> Forecast | str:
    """Return the forecast of the same hours by the state before, or the reason why there is none."""
    record, state = forecast.version.record, forecast.version.state
    if state is None:
        return f"{record.version} serves as trained: it has no state before this one"
    with service.engine.connect() as connection:
        number = number_before(connection, record.region_key, record.version, state.record.number)
    version = service.versions.load(forecast.version.region.id, record)
    name = FROZEN if number is None else str(number)
    selector = replace(forecast.selector, window=None, as_of=None, state=name)
    plan = forecast.plan
    return service.forecast_of(service.plan_of(version, selector, plan.start_s, plan.n_slots))


def _week_before(service: ForecastService, forecast: Forecast) -> Forecast | str:
    """Return the forecast of the same hours a week before, or the reason why there is none."""
    record, at = forecast.version.record, forecast.at - WEEK
    with service.engine.connect() as connection:
        older = older_version(connection, record.region_key, at, record.model)
    if older is None:
        return (
            f"no version of {record.model} had its data end before {at:%Y-%m-%d %H:%M} UTC, "
            "so there is no forecast of that week to compare with; train one with `until`"
        )
    version = service.versions.load(forecast.version.region.id, older)
    earlier_s = forecast.plan.start_s - int(WEEK.total_seconds())
    selector = replace(forecast.selector, window=None, state=None)
    plan = service.plan_of(version, selector, earlier_s, forecast.plan.n_slots)
    before = service.forecast_of(plan)
    cells, old_cells = forecast.cells, before.cells
    if len(old_cells) != len(cells) or list(old_cells.ids) != list(cells.ids):
        return f"the version of that week, {older.version}, has other cells"
    return before


def moves_of(ids: Sequence[int | str], before: Mapping[int | str, int]) -> dict[str, list[Any]]:
    """Return for each flagged cell whether it is new, its earlier rank, and the ranks gained."""
    earlier = [before.get(one) for one in ids]
    return {
        "entered": [rank is None for rank in earlier],
        "rank_before": earlier,
        "rank_change": [
            None if rank is None else rank - now for now, rank in enumerate(earlier, start=1)
        ],
    }
