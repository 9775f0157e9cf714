"""Read incidents as columns, for fits: rows never become single objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection

from app.core.db.engine import long_statements, translate_errors
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.incidents.kinds.codes import chosen, kind_codes, of_kinds
from app.regions.category_store import kinds_of
from app.regions.kinds import KindKey, folded
from app.regions.store import Region
from app.releases.store import LONG_AGO, MIN_GROUP

COLUMN_TYPES = {"time_s": ">i8", "window": ">i2", "x_m": ">f4", "y_m": ">f4", "category_key": ">i4"}
"""As numpy writes what PostgreSQL sends."""
_DURATION = {"lasts_s": ">i4"}
_ARRIVAL = {"arrived_s": ">i8"}
_SENT = {
    ">i8": sql.SQL("int8send({}::int8)"),
    ">i4": sql.SQL("int4send({}::int4)"),
    ">i2": sql.SQL("int2send({}::int2)"),
    ">f4": sql.SQL("float4send({}::float4)"),
}
FETCHED_ROWS = 20_000
_ARRIVAL_COLUMN = sql.SQL(", extract(epoch FROM inserted_at)::bigint")

_SOURCES = sql.SQL(
    "(source = 'reported'"
    " OR ('x' || left(dedup_key::text, 8))::bit(32)::bigint < {}::float8 * 4294967296)"
)

_SINCE = sql.SQL("occurred_at >= {}")
_UNTIL = sql.SQL("occurred_at < {}")
_ARRIVED_AFTER = sql.SQL("inserted_at > {}")
_COLUMNS = sql.SQL(
    'SELECT extract(epoch FROM occurred_at)::bigint, "window", x_m, y_m, {},'
    " coalesce(extract(epoch FROM occurred_to - occurred_at), 0)::integer{}"
    " FROM {} WHERE {} ORDER BY occurred_at, dedup_key, occurrence"
)
# Compared in one statement, so that concurrent corrections and erasures cannot interfere.
_PINNED = sql.SQL(
    """came_with >= {minimum} AND came_with = (
        SELECT g.n FROM release_groups AS g
        WHERE g.region_key = {region} AND g.seq = step AND g.block = incidents.block)"""
)
_ALL = sql.SQL("category_key"), sql.SQL("incidents")
_RELEASED_CATEGORY = sql.SQL("CASE WHEN step <= last THEN category_key ELSE 0 END")
# With the release that each incident came with: see `app.releases.store`.
_RELEASED = sql.SQL(
    """(
    SELECT *, count(*) FILTER (WHERE source = 'reported') OVER (PARTITION BY step, block) AS came_with
    FROM (
        SELECT i.*, greatest(u.release, b.block) AS step, b.block
        FROM incidents i JOIN uploads u ON u.id = i.upload_id
        CROSS JOIN LATERAL (
            SELECT 1 + width_bucket(i.occurred_at, {instants}::timestamptz[]) AS block
        ) AS b
        WHERE i.region_key = {region} AND u.release <= {seq} AND i.occurred_at < {until}
          AND i.occurred_at >= {since}
    ) AS stepped
) AS incidents LEFT JOIN unnest({keys}::int[], {lasts}::int[]) AS shown (key, last)
    ON key = category_key"""
)


@dataclass(frozen=True)
class IncidentColumns:
    """Columns of equal length, sorted by time; `category` is a position in `category_names`.

    An incident occurred within [`time_s`, `end_s`), or at `time_s` if both are equal.
    """

    x_m: NDArray[np.float32]
    y_m: NDArray[np.float32]
    time_s: NDArray[np.int64]
    end_s: NDArray[np.int64]
    window: NDArray[np.int16]
    category: NDArray[np.int32]
    category_names: list[str]
    arrived_s: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ReleaseCut:
    """Which incidents of a release to read.

    Args:
        seq: the release.
        instants: those of the region's releases, in order.
        category_steps: category key -> the last release at which its incidents carry its name; later
            ones, and other categories, count as `rest`.
        rest: the name for these.
        pinned: exclude groups (incidents of one block of time that came with one release) of fewer than
            `MIN_GROUP`, or that have changed (see `release_groups`): a block then never changes by
            fewer.
        since: where reading starts, one of the instants.
        named_only: exclude stored categories of few incidents, which would count as `rest`, though an
            alias makes them part of a requested one.
    """

    seq: int
    instants: Sequence[datetime]
    category_steps: Mapping[int, int]
    rest: str
    pinned: bool = False
    since: datetime = LONG_AGO
    named_only: bool = False

    def bounds_s(self) -> tuple[int, ...]:
        """Return the instants up to this release's, as seconds since 1970."""
        return tuple(int(one.timestamp()) for one in self.instants[: self.seq])

    def conditions(self, region_key: int) -> list[sql.Composable]:
        """Return conditions beyond those that were asked for."""
        return [_PINNED.format(minimum=MIN_GROUP, region=region_key)] if self.pinned else []

    def source(self, region_key: int) -> tuple[sql.Composable, sql.Composable]:
        """Return the expression of the category, and the table to read."""
        table = _RELEASED.format(
            instants=list(self.instants),
            region=region_key,
            seq=self.seq,
            until=self.instants[self.seq - 1],
            since=self.since,
            keys=list(self.category_steps),
            lasts=list(self.category_steps.values()),
        )
        return _RELEASED_CATEGORY, table

    def shown(self, keys: Mapping[int, KindKey]) -> dict[int, KindKey]:
        """Return the categories whose incidents carry a name."""
        return {
            key: kind
            for key, kind in keys.items()
            if key in self.category_steps and kind.now != self.rest
        }


def read_columns(
    connection: Connection,
    region: Region,
    since: datetime | None = None,
    until: datetime | None = None,
    category_names: Sequence[str] | None = None,
    discovered_share: float = 0.0,
    arrived_after: datetime | None = None,
    cut: ReleaseCut | None = None,
    *,
    arrivals: bool = False,
) -> IncidentColumns:
    """Read a region's incidents as columns; needs about 70 bytes an incident at peak.

    Args:
        discovered_share: share of the incidents discovered by patrols to read besides the reported
            ones, chosen by their keys, which are hashes.
        category_names: kinds; see `app.regions.kinds`.
        arrived_after: only incidents that were stored after that moment.
        cut: read only incidents released to readers.
        arrivals: also read when each was stored.

    Raises:
        InvalidInput: a category that the region does not have.
    """
    keys = _chosen_categories(connection, region, category_names)
    if cut is not None and cut.named_only:
        keys = cut.shown(keys)
    conditions: list[sql.Composable] = [
        sql.SQL("region_key = {}").format(region.key),
        _SOURCES.format(discovered_share),
        sql.SQL("category_key = ANY({})").format(list(keys)),
    ]
    bounds = ((_SINCE, since), (_UNTIL, until), (_ARRIVED_AFTER, arrived_after))
    conditions += [bound.format(moment) for bound, moment in bounds if moment is not None]
    conditions += [] if cut is None else cut.conditions(region.key)
    long_statements(connection)
    category_of, source = _ALL if cut is None else cut.source(region.key)
    schema = {**COLUMN_TYPES, **_DURATION, **(_ARRIVAL if arrivals else {})}
    arrival = _ARRIVAL_COLUMN if arrivals else sql.SQL("")
    where = sql.SQL(" AND ").join(conditions)
    table = columns_of(connection, _COLUMNS.format(category_of, arrival, source, where), schema)
    shown, rest = (keys, None) if cut is None else (cut.shown(keys), cut.rest)
    category, names = kind_codes(shown, table.pop("category_key"), table["time_s"], rest)
    lasts_s = table.pop("lasts_s")
    columns = {**table, "end_s": table["time_s"] + lasts_s, "category": category}
    if category_names is not None and any(kind.before is not None for kind in keys.values()):
        mine = of_kinds(category, names, [*category_names, *([] if rest is None else [rest])])
        columns = {name: values[mine] for name, values in columns.items()}
    return IncidentColumns(**columns, category_names=names)


def _chosen_categories(
    connection: Connection, region: Region, names: Sequence[str] | None
) -> dict[int, KindKey]:
    """Return what a region's stored categories count as, or those that may be of the named kinds."""
    known = kinds_of(connection, region)
    there = {
        folded(name) for key in known.values() for name in (key.now, key.before) if name is not None
    }
    for name in names or ():
        if folded(name) not in there:
            raise InvalidInput(f"unknown category {shortened(name)}", field="categories")
    return chosen(known, names)


def columns_of(
    connection: Connection, query: sql.Composed, schema: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    """Return the columns (n,) that a query selects, in its order; none has NULL.

    Each row comes as one value of bytes, many rows at a time: by COPY each would be waited for alone, which
    took three times as long.

    Args:
        schema: names and types of the columns, in order.
    """
    names = [sql.Identifier(name) for name in schema]
    sent = (_SENT[kind].format(name) for name, kind in zip(names, schema.values(), strict=True))
    rows = sql.SQL("SELECT {} FROM ({}) AS listed ({})").format(
        sql.SQL(" || ").join(sent), query, sql.SQL(", ").join(names)
    )
    driver: Any = connection.connection.driver_connection
    kinds = np.dtype(list(schema.items()))
    parts = [np.empty(0, kinds)]
    with translate_errors():
        driver.execute("SET LOCAL cursor_tuple_fraction = 1")  # all rows are read
        with driver.cursor("columns", binary=True) as cursor:
            cursor.execute(rows)
            while found := cursor.fetchmany(FETCHED_ROWS):
                parts.append(np.frombuffer(b"".join([row for (row,) in found]), kinds))
    native = {name: kinds[name].newbyteorder("=") for name in schema}
    return {name: np.concatenate([p[name] for p in parts], dtype=native[name]) for name in schema}
