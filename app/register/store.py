"""SQL of the register. Entries and scores are added and removed, and never changed otherwise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import incidents, register_entries, register_periods, register_scores
from app.register.parts import canonical, sha256_of

_e, _s, _p = register_entries.c, register_scores.c, register_periods.c
PARTS = ("forecast", "rival")


@dataclass(frozen=True)
class Entry:
    """A filed forecast without its parts; digests are those of the parts."""

    day: date
    starts_at: datetime
    ends_at: datetime
    filed_at: datetime
    model: str
    version: str
    state: str
    data_until: datetime
    n_cells: int
    expected: float
    expected_lo: float
    expected_hi: float
    forecast_sha256: bytes
    rival_sha256: bytes

    def header(self, region_id: str) -> str:
        """Return the text whose SHA-256 is the entry's digest."""
        values = {name: getattr(self, name) for name in Entry.__dataclass_fields__ if name != "day"}
        return canonical(
            {"region": region_id, "day": self.day.isoformat(), "format": 1}
            | {name: _plain(value) for name, value in values.items()}
        )

    def digest(self, region_id: str) -> bytes:
        """Return the digest that the audit log holds."""
        return sha256_of(self.header(region_id).encode())


@dataclass(frozen=True)
class Score:
    """A score as stored."""

    look_days: int
    scored_at: datetime
    score: str
    salt: bytes
    digest: bytes

    def computed_digest(self, day: date) -> bytes:
        """Return the digest that the audit log holds, of an entry's day."""
        return sha256_of(self.salt + f"{day.isoformat()}/{self.look_days}/{self.score}".encode())


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value


def entry_of(row: Row[Any]) -> Entry:
    """Return the entry of a row that has its columns."""
    values: dict[str, Any] = {name: row._mapping[name] for name in Entry.__dataclass_fields__}
    digests = {name: bytes(values[name]) for name in ("forecast_sha256", "rival_sha256")}
    return Entry(**{**values, **digests})


def add_entry(
    connection: Connection, region_key: int, entry: Entry, parts: tuple[bytes, bytes], digest: bytes
) -> int | None:
    """Store an entry; return its id, or None if the day has one."""
    values = {"region_key": region_key, **vars(entry), "digest": digest}
    values |= dict(zip(PARTS, parts, strict=True))
    statement = insert(register_entries).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=["region_key", "day"])
    found: int | None = connection.scalar(statement.returning(_e.id))
    return found


def id_of(connection: Connection, region_key: int, day: date) -> int | None:
    """Return the id of a day's entry, or None."""
    query = select(_e.id).where(_e.region_key == region_key, _e.day == day)
    found: int | None = connection.scalar(query)
    return found


def _known() -> list[Any]:
    columns: list[Any] = [_e.id, _e.digest, *(_e[name] for name in Entry.__dataclass_fields__)]
    return [*columns, *(_e[name].is_(None).label(f"no_{name}") for name in PARTS)]


def page(
    connection: Connection,
    region_key: int,
    limit: int | None = None,
    before: tuple[datetime, int] | None = None,
) -> list[Row[Any]]:
    """Return entries without their parts, the newest first."""
    query = select(*_known()).where(_e.region_key == region_key)
    if before is not None:
        query = query.where(tuple_(_e.starts_at, _e.id) < tuple_(*before))
    query = query.order_by(_e.starts_at.desc(), _e.id.desc()).limit(limit)
    return list(connection.execute(query))


def find(connection: Connection, region_key: int, entry_id: int) -> Any:
    """Return one entry's row with its parts, or None."""
    query = select(*_known(), _e.forecast, _e.rival).where(
        _e.region_key == region_key, _e.id == entry_id
    )
    return connection.execute(query).one_or_none()


def digests_of_parts(connection: Connection, region_key: int) -> dict[date, Row[Any]]:
    """Return {day: digests (`forecast`, `rival`) of the parts as they are, computed by the database}."""
    digests = (func.sha256(_e[name]).label(name) for name in PARTS)
    query = select(_e.day, *digests).where(_e.region_key == region_key)
    return {row.day: row for row in connection.execute(query)}


def scores_of(connection: Connection, entry_ids: Sequence[int]) -> dict[int, list[Score]]:
    """Return {id of an entry: its scores, the first first}."""
    columns = [_s[name] for name in Score.__dataclass_fields__]
    query = select(_s.entry_id, *columns).where(_s.entry_id.in_(entry_ids))
    found: dict[int, list[Score]] = {}
    for row in connection.execute(query.order_by(_s.entry_id, _s.look_days)):
        values = {name: row._mapping[name] for name in Score.__dataclass_fields__}
        values |= {name: bytes(values[name]) for name in ("salt", "digest")}
        found.setdefault(row.entry_id, []).append(Score(**values))
    return found


def add_score(connection: Connection, entry_id: int, score: Score) -> None:
    """Store a score."""
    connection.execute(insert(register_scores).values(entry_id=entry_id, **vars(score)))


def scorable(connection: Connection, region_key: int, until: datetime) -> list[Row[Any]]:
    """Return id, day, span, version and `last_look` of entries with both parts that ended by an instant."""
    last = select(func.max(_s.look_days)).where(_s.entry_id == _e.id).scalar_subquery()
    columns = (_e.id, _e.day, _e.starts_at, _e.ends_at, _e.version)
    query = select(*columns, func.coalesce(last, 0).label("last_look")).where(
        _e.region_key == region_key, _e.ends_at <= until, *_whole()
    )
    return list(connection.execute(query.order_by(_e.day)))


def _whole() -> list[ColumnElement[bool]]:
    return [_e[name].is_not(None) for name in PARTS]


def last_incident_before(
    connection: Connection, region_key: int, moment: datetime
) -> datetime | None:
    """Return when the last incident before a moment happened, as far as it is known."""
    found: datetime | None = connection.scalar(
        select(func.max(incidents.c.occurred_at)).where(
            incidents.c.region_key == region_key, incidents.c.occurred_at < moment
        )
    )
    return found


def remove_parts(
    connection: Connection, region_key: int, name: str, condition: ColumnElement[bool]
) -> list[date]:
    """Remove a part of entries for good; return their days."""
    mine = and_(_e.region_key == region_key, _e[name].is_not(None), condition)
    changed = update(register_entries).where(mine).values({name: None}).returning(_e.day)
    return sorted(connection.scalars(changed))


def remove_scores(connection: Connection, region_key: int, days: Collection[date]) -> list[date]:
    """Remove all scores of some days; return the days that had any."""
    mine = select(_e.id).where(_e.region_key == region_key, _e.day.in_(days))
    gone = delete(register_scores).where(_s.entry_id.in_(mine)).returning(_s.entry_id)
    ids = set(connection.scalars(gone))
    return sorted(connection.scalars(select(_e.day).where(_e.id.in_(ids))))


def remove_entries(connection: Connection, region_key: int, before: date) -> list[date]:
    """Remove the entries of days before a day; return those days."""
    gone = delete(register_entries).where(_e.region_key == region_key, _e.day < before)
    return sorted(connection.scalars(gone.returning(_e.day)))


def count_entries(connection: Connection, region_key: int) -> tuple[int, date | None, date | None]:
    """Return how many entries there are, and their first and last day."""
    query = select(func.count(), func.min(_e.day), func.max(_e.day))
    row = connection.execute(query.where(_e.region_key == region_key)).one()
    return int(row[0]), row[1], row[2]


def all_scores(connection: Connection, region_key: int) -> list[Row[Any]]:
    """Return day, look_days, score and whether its entry is whole, in order of day and look."""
    whole = and_(*_whole()).label("whole")
    query = (
        select(_e.day, _e.ends_at, _s.look_days, _s.score, whole)
        .select_from(register_entries.outerjoin(register_scores, _s.entry_id == _e.id))
        .where(_e.region_key == region_key)
    )
    return list(connection.execute(query.order_by(_e.day, _s.look_days)))


def periods(connection: Connection, region_key: int) -> list[Row[Any]]:
    """Return from_day, to_day and figures of what readers see, in order."""
    query = select(_p.from_day, _p.to_day, _p.figures).where(_p.region_key == region_key)
    return list(connection.execute(query.order_by(_p.from_day)))


def add_period(
    connection: Connection, region_key: int, from_day: date, to_day: date, figures: dict[str, Any]
) -> None:
    """Store what readers see of some weeks."""
    values = {"region_key": region_key, "from_day": from_day, "to_day": to_day}
    statement = insert(register_periods).values(**values, figures=figures)
    connection.execute(statement.on_conflict_do_nothing())
