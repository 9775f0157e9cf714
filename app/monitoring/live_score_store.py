"""SQL of live scores: scores of versions on later incidents, by local day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import live_scores


@dataclass(frozen=True)
class LiveDay:
    """Sums of a day over `n` scored incidents, of the `n_seen` that count for the version.

    `log_density_sum` is in nats (density per km2); `expected_sum` is its expectation by the forecast.
    `state_gain_sum` is the sum by the state that served at the start of the day, minus that of the version
    as trained, `state_lead_days` how far ahead of its data the day lies; None without a state.
    """

    day: date
    n_seen: int
    n: int
    log_density_sum: float
    expected_sum: float
    state_gain_sum: float | None = None
    state_lead_days: int | None = None


def read_days(connection: Connection, region_key: int, version: str) -> list[LiveDay]:
    """Return all scored days of a version, in order."""
    columns = [live_scores.c[name] for name in LiveDay.__dataclass_fields__]
    query = (
        select(*columns)
        .where(live_scores.c.region_key == region_key, live_scores.c.version == version)
        .order_by(live_scores.c.day)
    )
    return [LiveDay(*row) for row in connection.execute(query)]


def put_days(
    connection: Connection, region_key: int, version: str, days: Sequence[LiveDay]
) -> None:
    """Insert or replace these days."""
    if not days:
        return
    place = {"region_key": region_key, "version": version}
    statement = insert(live_scores)
    changed = {
        name: statement.excluded[name] for name in LiveDay.__dataclass_fields__ if name != "day"
    }
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["region_key", "version", "day"], set_=changed
        ),
        [{**place, **asdict(day)} for day in days],
    )


def drop_region_days(connection: Connection, region_key: int, days: Sequence[date]) -> None:
    """Delete days of all versions after an erasure; maintenance scores the rest again."""
    mine = live_scores.c.region_key == region_key
    connection.execute(delete(live_scores).where(mine, live_scores.c.day.in_(days)))


def drop_days(connection: Connection, region_key: int, version: str, days: Sequence[date]) -> None:
    """Delete days without incidents."""
    connection.execute(
        delete(live_scores).where(
            live_scores.c.region_key == region_key,
            live_scores.c.version == version,
            live_scores.c.day.in_(days),
        )
    )
