"""The sizes of groups of released incidents when readers first saw them.

A group is the incidents of one block of time (from one release's instant to the next) that came with one
release. Repeatable results for readers (backtests, fairness reports) use whole unchanged groups: if a few
incidents of a group are corrected or erased, a comparison would reveal them, so it is excluded from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.db.tables import release_groups
from app.releases.store import LONG_AGO, MIN_GROUP, Release, change, instants, latest, lock

_CHANGED = text(
    """
    WITH present AS (
        SELECT greatest(u.release, b.block) AS seq, b.block, count(*)::integer AS n
        FROM incidents i JOIN uploads u ON u.id = i.upload_id
        CROSS JOIN LATERAL (
            SELECT 1 + width_bucket(i.occurred_at, CAST(:instants AS timestamptz[])) AS block
        ) AS b
        WHERE i.region_key = :region AND u.release <= :seq AND i.source = 'reported'
          AND i.occurred_at >= :since AND i.occurred_at < :until
        GROUP BY 1, 2
    ), known AS (
        SELECT seq, block, n AS was, true AS is_known FROM release_groups
        WHERE region_key = :region AND seq <= :seq AND block BETWEEN :first AND :last
    )
    SELECT seq, block, coalesce(n, 0) AS n, was, coalesce(is_known, false) AS is_known
    FROM present FULL JOIN known USING (seq, block)
    WHERE CASE WHEN is_known THEN was <> coalesce(n, 0) ELSE true END
    """
)


def pin(
    connection: Connection, region_key: int, release: Release, since: datetime = LONG_AGO
) -> None:
    """Record the groups of a release, from one of the instants on, before readers see them."""
    if not release.used:
        change(connection, region_key, release.seq, used=True)
    if _changed(connection, region_key, release, since, release.until):
        lock(connection, region_key)
        rows = _changed(connection, region_key, release, since, release.until)
        _keep(connection, region_key, rows)


def count_since(connection: Connection, region_key: int, release: Release, since: datetime) -> int:
    """Count what a release holds in whole groups from the first of the instants after `since` on."""
    known = instants(connection, region_key)
    first = next((k for k, instant in enumerate(known) if instant >= since), None)
    if first is None or first + 1 >= len(known):
        return 0
    pin(connection, region_key, release, known[first])
    groups = release_groups.c
    query = select(func.sum(groups.n)).where(
        groups.region_key == region_key,
        groups.seq <= release.seq,
        groups.block > first + 1,
        groups.n >= MIN_GROUP,
    )
    return int(connection.scalar(query) or 0)


def unpin(connection: Connection, region_key: int, days: Sequence[date]) -> None:
    """Exclude from now on the groups of these local days that an erasure has reduced a little."""
    release = latest(connection, region_key)
    if release is None or not days:
        return
    # A day more on either side, whatever the zone.
    first, last = (datetime.combine(d, datetime.min.time(), LONG_AGO.tzinfo) for d in _ends(days))
    known = instants(connection, region_key)
    since = max((i for i in known if i <= first), default=LONG_AGO)
    until = min((i for i in known if i >= last), default=release.until)
    if since >= until:
        return
    rows = _changed(connection, region_key, release, since, until)
    _keep(connection, region_key, [row for row in rows if row.is_known])


def _ends(days: Sequence[date]) -> tuple[date, date]:
    return min(days) - timedelta(days=1), max(days) + timedelta(days=2)


def _changed(
    connection: Connection, region_key: int, release: Release, since: datetime, until: datetime
) -> Sequence[Row[Any]]:
    """Return groups between two of the instants that are new or have changed."""
    known = instants(connection, region_key)
    values = {
        "region": region_key,
        "seq": release.seq,
        "instants": known,
        "since": since,
        "until": until,
        "first": 1 + sum(i <= since for i in known),
        "last": 1 + sum(i < until for i in known),
    }
    return connection.execute(_CHANGED, values).all()


def _keep(connection: Connection, region_key: int, rows: Sequence[Row[Any]]) -> None:
    if not rows:
        return
    statement = insert(release_groups).values(
        [{"region_key": region_key, "seq": r.seq, "block": r.block, "n": _left(r)} for r in rows]
    )
    key = ["region_key", "seq", "block"]
    connection.execute(
        statement.on_conflict_do_update(index_elements=key, set_={"n": statement.excluded.n})
    )


def _left(row: Row[Any]) -> int | None:
    """Return the number to show from now on; None: never again."""
    small = row.was is None or row.was < MIN_GROUP
    return int(row.n) if small or abs(row.n - row.was) >= MIN_GROUP else None
