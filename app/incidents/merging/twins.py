"""Notice a file that is stored already under other category names, moved places or other ids.

A twin of a new row is a stored incident of the same minute within 100 m that no row of the file equals.
Cities have few of them by chance (docs/decisions.md); a file published anew has hardly anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from app.core.errors import Conflict
from app.core.roles import sees_unreleased
from app.core.texts import shortened

NearDuplicates = Literal["add", "skip", "replace"]
NEAR_M = 100.0
LOOKED_AT, COMPARED = 20_000, 2_000
"""Rows of a file that are looked at, and new ones among them that are compared."""
SAME_MINUTE = 2_000
"""Stored incidents of one minute that a row is compared with."""
FEWEST, SHARE, SPARE = 3, 0.5, 1.5
"""A file is questioned from that many twins, and SHARE n + SPARE of n rows, on."""
SHOWN = 3
ROUNDS = 20
_SPAN = text(
    "SELECT extract(epoch FROM min(occurred_at)), extract(epoch FROM max(occurred_at))"
    " FROM incidents WHERE region_key = :region"
)
_IS_NEW = """NOT EXISTS (
    SELECT FROM incidents AS known WHERE known.region_key = :region
      AND known.dedup_key = m.dedup_key AND known.occurrence = m.occurrence)"""
# Rows with ids are compared with incidents whose ids someone else gave, or that have none. Two ids of
# one feed are two incidents, unless all else is equal: ids may have lost their leading zeros.
_PAIRS = f"""
    SELECT fresh."row", near.id, near.distance_m, near.category_key <> fresh.category_key AS renamed
    FROM fresh CROSS JOIN LATERAL (
        SELECT i.*, 111195 * sqrt((i.latitude - fresh.latitude) ^ 2 + (cos(radians(fresh.latitude))
            * least(abs(i.longitude - fresh.longitude), 360 - abs(i.longitude - fresh.longitude)))
            ^ 2) AS distance_m
        FROM (
            SELECT * FROM incidents WHERE region_key = :region
              AND occurred_at >= to_timestamp(fresh.time_s - fresh.time_s % 60)
              AND occurred_at < to_timestamp(fresh.time_s - fresh.time_s % 60 + 60)
            ORDER BY occurred_at, id LIMIT {SAME_MINUTE}
        ) AS i
        WHERE fresh.external_id IS NULL OR i.external_id IS NULL
           OR i.feed_key IS DISTINCT FROM fresh.feed_key
           OR (i.occurred_at, i.category_key) = (to_timestamp(fresh.time_s), fresh.category_key)
              AND greatest(abs(i.longitude - fresh.longitude), abs(i.latitude - fresh.latitude)) < 1e-6
    ) AS near
    WHERE near.distance_m < {NEAR_M} AND NOT EXISTS (
        SELECT FROM merged_incidents AS same
        WHERE same.dedup_key = near.dedup_key AND same.occurrence = near.occurrence)
"""  # noqa: S608 - only numbers are filled in
_COMPARE = text(
    f"""
    WITH fresh AS MATERIALIZED (
        SELECT m.* FROM (
            SELECT * FROM merged_incidents WHERE time_s BETWEEN :first AND :last LIMIT {LOOKED_AT}
        ) AS m WHERE {_IS_NEW} LIMIT {COMPARED}
    ), pairs AS MATERIALIZED ({_PAIRS})
    SELECT (SELECT count(*) FROM fresh) AS n,
        least(count(DISTINCT "row"), count(DISTINCT id)) AS twins,
        count(DISTINCT "row") FILTER (WHERE renamed) AS renamed
    FROM pairs
    """  # noqa: S608
)
_EXAMPLES = text(
    f"""
    WITH fresh AS MATERIALIZED (
        SELECT m.* FROM (
            SELECT * FROM merged_incidents WHERE time_s BETWEEN :first AND :last LIMIT {LOOKED_AT}
        ) AS m WHERE {_IS_NEW} LIMIT 100
    ), pairs AS ({_PAIRS})
    SELECT DISTINCT ON (pairs."row") pairs."row", m.category, k.name AS stored, pairs.distance_m
    FROM pairs JOIN merged_incidents AS m USING ("row")
    JOIN incidents AS i ON i.region_key = :region AND i.id = pairs.id
    JOIN categories AS k ON k.key = i.category_key
    ORDER BY pairs."row", pairs.renamed, pairs.distance_m LIMIT {SHOWN}
    """  # noqa: S608
)
_ALL_PAIRS = text(
    f"""
    CREATE TEMP TABLE near_pairs ON COMMIT DROP AS
    WITH fresh AS MATERIALIZED (
        SELECT m.* FROM merged_incidents AS m WHERE time_s BETWEEN :first AND :last AND {_IS_NEW}
    ) {_PAIRS}
    """  # noqa: S608
)
_NO_TWINS = text('CREATE TEMP TABLE twins ("row" bigint, id bigint) ON COMMIT DROP')
# Each row takes its nearest incident, of the same category first, and each incident its nearest row.
_MATCH = text(
    """
    INSERT INTO twins SELECT DISTINCT ON (id) "row", id FROM (
        SELECT DISTINCT ON ("row") * FROM near_pairs
        WHERE "row" NOT IN (SELECT "row" FROM twins) AND id NOT IN (SELECT id FROM twins)
        ORDER BY "row", renamed, distance_m, id
    ) AS nearest ORDER BY id, renamed, distance_m, "row"
    """
)
_KEEP_HISTORY = text(
    """
    INSERT INTO incident_history (region_key, external_id, action, before, incident_id)
    SELECT i.region_key, i.external_id, 'corrected', to_jsonb(i), i.id
    FROM twins JOIN incidents AS i ON i.region_key = :region AND i.id = twins.id
    """
)
# An incident whose id the file lacks stays known by it.
_CORRECT = text(
    """
    UPDATE incidents AS i SET
        occurred_at = to_timestamp(m.time_s), occurred_to = to_timestamp(m.end_s),
        longitude = m.longitude, latitude = m.latitude,
        x_m = m.x_m, y_m = m.y_m, "window" = m."window", category_key = m.category_key,
        source = m.source, upload_id = :upload, reference = coalesce(m.reference, i.reference),
        revised_at = greatest(i.revised_at, to_timestamp(m.revised_s)),
        (external_id, feed_key, dedup_key, occurrence) = (
            SELECT (CASE WHEN renumbered THEN m.external_id ELSE i.external_id END),
                   (CASE WHEN renumbered THEN m.feed_key ELSE i.feed_key END),
                   (CASE WHEN renumbered THEN m.dedup_key ELSE i.dedup_key END),
                   (CASE WHEN renumbered THEN m.occurrence ELSE i.occurrence END)
            FROM (SELECT m.external_id IS NOT NULL OR i.external_id IS NULL AS renumbered) AS r)
    FROM twins JOIN merged_incidents AS m USING ("row")
    WHERE i.region_key = :region AND i.id = twins.id
    """
)


@dataclass(frozen=True)
class Twins:
    """What became of rows with a twin: how many were left out, how many corrected theirs."""

    skipped: int = 0
    corrected: int = 0


def settle_twins(
    connection: Connection, region_key: int, upload_id: int, answer: NearDuplicates | None
) -> Twins | None:
    """Compare new rows with stored incidents, and treat twins as the sender says.

    Returns None if the rows are to be stored as they are; otherwise the table `twins` has those that are
    not to be inserted.

    Raises:
        Conflict: the file repeats what is stored, and the sender has not said what to do.
    """
    first, last = connection.execute(_SPAN, {"region": region_key}).one()
    if first is None or answer == "add":
        return None
    values = {"region": region_key, "first": int(first) // 60 * 60, "last": int(last) + 60}
    found = connection.execute(_COMPARE, values).one()
    if found.twins < max(FEWEST, SHARE * found.n + SPARE):
        return None
    if answer is None:
        raise _question(found, connection.execute(_EXAMPLES, values).all())
    connection.execute(_ALL_PAIRS, values)
    connection.execute(_NO_TWINS)
    n_twins = 0
    for _ in range(ROUNDS):
        matched = connection.execute(_MATCH).rowcount
        n_twins += matched
        if not matched:
            break
    if answer == "skip":
        return Twins(skipped=n_twins)
    connection.execute(_KEEP_HISTORY, {"region": region_key})
    upload = {"region": region_key, "upload": upload_id}
    return Twins(corrected=connection.execute(_CORRECT, upload).rowcount)


def _question(found: Row[Any], examples: Sequence[Row[Any]]) -> Conflict:
    """Return the question, with examples for those who may list incidents."""
    shown = [
        f"row {one.row + 1}: {shortened(one.category)} {one.distance_m:.0f} m from {shortened(one.stored)}"
        for one in examples
    ]
    example = f" ({'; '.join(shown)})" if shown and sees_unreleased.get() else ""
    return Conflict(
        f"{found.twins:,} of {found.n:,} compared new rows have the minute and place (within "
        f"{NEAR_M:.0f} m) of a stored incident that the file does not repeat, {found.renamed:,} of "
        f"them under another category{example}: the file seems to be stored already in another form. "
        "Nothing was stored. Send near_duplicates=replace to correct the stored incidents, "
        "near_duplicates=skip to leave them as they are, or near_duplicates=add to store the rows "
        "beside them",
        field="near_duplicates",
        code="near_duplicates",
        params={"twins": found.twins, "compared": found.n, "renamed": found.renamed},
    )
