"""SQL of released live scores: periods of whole weeks, written once and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import released_scores


@dataclass(frozen=True)
class Period:
    """Sums over the `n` incidents of the local days from `from_day` until before `to_day`."""

    from_day: date
    to_day: date
    n: int
    log_density_sum: float
    expected_sum: float

    @property
    def key(self) -> tuple[date, date, int]:
        """Key that is equal for comparable periods of two versions."""
        return self.from_day, self.to_day, self.n


def read_periods(connection: Connection, region_key: int, version: str) -> list[Period]:
    """List the periods of a version, in order."""
    columns = [released_scores.c[name] for name in Period.__dataclass_fields__]
    query = (
        select(*columns)
        .where(released_scores.c.region_key == region_key, released_scores.c.version == version)
        .order_by(released_scores.c.from_day)
    )
    return [Period(*row) for row in connection.execute(query)]


def add_periods(
    connection: Connection, region_key: int, version: str, periods: Iterable[Period]
) -> None:
    """Insert periods; leave existing ones unchanged."""
    rows = [{"region_key": region_key, "version": version, **asdict(one)} for one in periods]
    if rows:
        connection.execute(insert(released_scores).on_conflict_do_nothing(), rows)


def common(one: Sequence[Period], other: Sequence[Period]) -> list[tuple[Period, Period]]:
    """Pair the periods that two versions were scored in on equally many incidents."""
    against = {period.key: period for period in other}
    return [(period, against[period.key]) for period in one if period.key in against]
