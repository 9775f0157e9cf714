"""What a region's forecast is worth: by its own test, and in cities of its size and delay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.errors import InvalidInput
from app.core.messages import Message
from app.evaluation.backtests.request import MAX_DELAY_DAYS
from app.evaluation.worth.table import TypicalWorth, WorthTable, least_size, worth_table
from app.evaluation.worth.verdicts import NOTES_ON_WORTH, verdicts
from app.regions.store import Region, get_region
from app.registry import store as registry
from app.releases.disclosure import shown_backtest, shown_validation
from app.runs.store import get_run, latest_with
from app.states.service import last_state
from models.base import HORIZON_DAYS
from models.evaluation.worth import TYPICAL_GAINS


def region_worth(
    engine: Engine,
    region_id: str,
    delay_days: int | None = None,
    *,
    exact: bool = True,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return the gains of the served model over `prior-counts` and `pooled-kde`, JSON-ready.

    Args:
        delay_days: how late incidents are known; None: by the age of the data, or 0 where they are older
            than any delay that was measured.
        exact: the caller may list incidents; others see tests on releases, rounded.
        now: instead of the present.

    Raises:
        NotFound: the region does not exist.
        NotReady: it has no version yet.
        InvalidInput: the delay is out of range.
    """
    if delay_days is not None and not 0 <= delay_days <= MAX_DELAY_DAYS:
        raise InvalidInput(
            f"delay_days must lie within 0..{MAX_DELAY_DAYS}, got {delay_days}", field="delay_days"
        )
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        version = registry.get_version(connection, region.key)
        state = last_state(connection, region, version)
        own = _tested(connection, region, version, exact=exact) or _validated(version, exact=exact)
    data_until = version.cutoff if state is None else state.data_until
    table, notes = worth_table(), []
    age_days = max(((now or datetime.now(UTC)) - data_until).days, 0)
    days = delay_days if delay_days is not None else age_days
    if delay_days is None and age_days > table.delays_days[-1]:
        days = 0
        until = data_until.date().isoformat()
        notes.append(NOTES_ON_WORTH.make("worth_old_data", until=until, days=age_days))
    typical = table.at(version.n_incidents, days)
    by_size = [table.at(size, days) for size in table.sizes]
    notes += _beyond(table, version, days, typical)
    if own is None:
        notes.append(NOTES_ON_WORTH.make("worth_not_tested", model=version.model))
    return {
        "region": region.id,
        "model": version.model,
        "model_version": version.version,
        "n_incidents": version.n_incidents,
        "data_until": data_until.isoformat(),
        "delay_days": days,
        "typical": {**_said(asdict(typical)), "model": table.model},
        "own": None if own is None else _said(own),
        "by_size": [asdict(row) for row in by_size],
        "least_n": {gain: least_size(by_size, gain) for gain in TYPICAL_GAINS},
        "notes": [note.to_json() for note in notes],
    }


def _said(worth: dict[str, Any]) -> dict[str, Any]:
    return {**worth, "verdicts": [one.to_json() for one in verdicts(worth["gains"])]}


def _beyond(
    table: WorthTable, version: registry.VersionRecord, days: int, typical: TypicalWorth
) -> list[Message]:
    """Return how the region differs from what was measured."""
    make, notes = NOTES_ON_WORTH.make, []
    if typical.n != version.n_incidents:
        least, most = table.sizes[0], table.sizes[-1]
        n = version.n_incidents
        notes.append(make("worth_size_beyond", n=n, least=least, most=most, used=typical.n))
    if typical.delay_days != days:
        notes.append(make("worth_delay_beyond", days=days, most=typical.delay_days))
    if version.model != table.model:
        notes.append(make("worth_other_model", measured=table.model, model=version.model))
    return notes


def _tested(
    connection: Connection, region: Region, version: registry.VersionRecord, *, exact: bool
) -> dict[str, Any] | None:
    """Return what the newest backtest of the served model says; None: there is none to show."""
    path = "worth", version.model
    run_id = latest_with(connection, "backtest", region.key, path, on_release=not exact)
    if run_id is None:
        return None
    run = get_run(connection, "backtest", run_id, region.key)
    result = shown_backtest(run.result or {}, exact=exact)
    found = result["worth"].get(version.model)
    if not found or not result["n"]:
        return None
    return {
        **_part(found),
        "source": "backtest",
        "run": run_id,
        "since": result["origins"][0],
        "n_origins": len(result["origins"]),
        "horizon_days": result["horizon_days"],
        "delay_days": run.request.get("delay_days", 0),
    }


def _validated(version: registry.VersionRecord, *, exact: bool) -> dict[str, Any] | None:
    """Return what the version's own validation says; None: it has none, or of too few incidents."""
    scores = shown_validation(version.scores, exact=exact)
    if not scores.get("worth"):
        return None
    return {
        **_part(scores["worth"]),
        "source": "validation",
        "run": None,
        "since": datetime.fromtimestamp(scores["origin_s"], UTC).isoformat(),
        "n_origins": 1,
        "horizon_days": HORIZON_DAYS,
        "delay_days": 0,
    }


def _part(worth: Mapping[str, Any]) -> dict[str, Any]:
    return {name: worth[name] for name in ("n", "list_share", "gains")}
