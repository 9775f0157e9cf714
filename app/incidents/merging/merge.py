"""Merge staged rows into the incidents, in the caller's transaction.

Guessed ids are judged first, rows numbered, versions of known ids compared; then corrections and new
incidents are stored. All of it is set-based: the database does the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, text

from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.incidents.merging import feeds
from app.incidents.merging.corrections import Changes, apply_changes, compare_versions
from app.incidents.merging.twins import NearDuplicates, Twins, settle_twins
from app.incidents.writes import RefusedRows, add_categories

MAX_EQUAL_ROWS = 32_767
"""Rows of one upload without an id that agree in time, place and category: the column has two bytes."""
GuessedIds = Literal["ids", "references", "dropped"]
_STAGED = '"row", time_s, end_s, longitude, latitude, x_m, y_m, "window", category, source, feed, revised_s'
# Only rows with a guessed id have an id_key: what it was taken for decides how rows are identified.
_TAKEN_AS: dict[GuessedIds, str] = {
    "ids": "external_id, reference, coalesce(id_key, dedup_key) AS dedup_key",
    "references": """CASE WHEN id_key IS NULL THEN external_id END AS external_id,
        coalesce(reference, CASE WHEN id_key IS NOT NULL THEN external_id END) AS reference,
        dedup_key""",
    "dropped": "CASE WHEN id_key IS NULL THEN external_id END AS external_id, reference, dedup_key",
}
# Equal rows of one upload are counted, so that two true incidents at one place and minute stay two;
# rows that share an external id are one incident, whose last version counts.
_NUMBER_ROWS = """
    CREATE TEMP TABLE merged_incidents ON COMMIT DROP AS
    SELECT numbered.*, CASE WHEN external_id IS NULL THEN place ELSE 1 END AS occurrence,
           categories.key AS category_key, {feed_key} AS feed_key
    FROM (
        SELECT *, row_number() OVER (PARTITION BY dedup_key ORDER BY "row") AS place,
               count(*) OVER (PARTITION BY dedup_key) AS copies
        FROM (SELECT {staged}, {taken_as} FROM staged_incidents) AS keyed
    ) AS numbered
    JOIN categories ON categories.region_key = :region AND categories.name = numbered.category
    {feeds}
    WHERE external_id IS NULL OR place = copies
"""
_FEEDS = "LEFT JOIN feeds ON feeds.region_key = :region AND feeds.name = numbered.feed"
# Rows of a repeated id that are not what its last row says.
_COUNT_DIFFERING = """
    SELECT count(*) FROM (SELECT {staged}, {taken_as} FROM staged_incidents) AS s
    JOIN merged_incidents AS m ON m.dedup_key = s.dedup_key
    WHERE m.copies > 1 AND m.external_id IS NOT NULL
      AND (s.time_s, s.end_s, s.longitude, s.latitude, s.category)
          IS DISTINCT FROM (m.time_s, m.end_s, m.longitude, m.latitude, m.category)
"""
_HAS_COPIES = text(
    "SELECT EXISTS (SELECT FROM merged_incidents WHERE copies > 1 AND external_id IS NOT NULL)"
)
# Names beyond the region's limit, by their first row: a free-text column is not a category.
_TOO_MANY = text(
    """
    WITH named AS (
        SELECT category, min("row") AS first FROM staged_incidents GROUP BY category
    ), unknown AS (
        SELECT category, row_number() OVER (ORDER BY first) AS place FROM named
        WHERE NOT EXISTS (SELECT FROM categories WHERE region_key = :region AND name = category)
    )
    SELECT category FROM unknown
    WHERE place > :limit - (SELECT count(*) FROM categories WHERE region_key = :region)
    """
)
_REFUSE_CATEGORIES = text(
    """
    WITH gone AS (DELETE FROM staged_incidents WHERE category = ANY(:names) RETURNING "row")
    SELECT count(*), (array_agg("row" ORDER BY "row"))[1:(:echoed)] FROM gone
    """
)
_TOO_OFTEN = text(
    """
    SELECT count(*), (array_agg("row" ORDER BY "row"))[1:(:echoed)] FROM merged_incidents
    WHERE occurrence > :limit
    """
)
# In order of time, so that a slot's rows share pages and indexes by time grow at their ends.
_INSERT = """
    INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m, "window",
        category_key, external_id, source, dedup_key, occurrence, upload_id, reference, feed_key,
        revised_at, occurred_to)
    SELECT :region, to_timestamp(time_s), longitude, latitude, x_m, y_m, "window",
        category_key, external_id, source, dedup_key, occurrence, :upload, reference, feed_key,
        to_timestamp(revised_s), to_timestamp(end_s)
    FROM merged_incidents
    WHERE occurrence <= :limit {only}
    ORDER BY time_s
    ON CONFLICT (region_key, dedup_key, occurrence) DO NOTHING
"""
_WITHOUT_TWINS = 'AND "row" NOT IN (SELECT "row" FROM twins)'
_COUNT_REPEATED = text(
    """
    SELECT (SELECT count(*) FROM staged_incidents) - count(*) FILTER (WHERE occurrence = 1),
           (SELECT count(*) - count(DISTINCT digest) FROM refused_rows),
           count(*) FILTER (WHERE occurrence > :limit), count(*)
    FROM merged_incidents
    """
)


@dataclass(frozen=True)
class MergeRules:
    """How rows that may be stored already are treated.

    Args:
        max_categories: names that a region may have; rows with others are rejected.
        echoed: how many positions of rejected rows to return.
        has_feeds: whether a row names a feed.
        guessed: what guessed ids are taken for; None: there are none. `ids` still have to be unique.
        replace_conflicts: correct incidents though everything about them differs.
        is_current: apply versions that an earlier correction replaced.
        near_duplicates: what to do with rows that nearly equal stored incidents; None: ask.
        replace_feed: remove stored incidents of the rows' feeds and time span that are not among them.
        timezone: of the days in messages.
    """

    max_categories: int
    echoed: int
    has_feeds: bool = False
    guessed: GuessedIds | None = None
    replace_conflicts: bool = False
    is_current: bool = False
    near_duplicates: NearDuplicates | None = None
    replace_feed: bool = False
    timezone: str = "UTC"


@dataclass
class Merged:
    """Result of a merge.

    Args:
        repeated: rows, rejected ones included, that equal an earlier one of their upload.
        differing: rows that share an external id with a later row and differ from it.
        removed: stored incidents that their feed no longer has.
        missing: stored incidents that their feed may no longer have.
        ids_code: why guessed ids were not taken as ids, if the merge decided so.
    """

    added: int = 0
    repeated: int = 0
    differing: int = 0
    removed: int = 0
    missing: int = 0
    ids_code: str | None = None
    refused: list[RefusedRows] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    twins: Twins = field(default_factory=Twins)


def merge(connection: Connection, region_key: int, upload_id: int, rules: MergeRules) -> Merged:
    """Move staged rows to the incidents.

    One merge per region at a time, so concurrent uploads of the same rows neither deadlock nor add twice.
    """
    transaction_lock(connection, INGEST_LOCK, region_key)
    merged = Merged()
    merged.refused += _refuse_categories(connection, region_key, rules)
    add_categories(connection, region_key)
    if rules.has_feeds:
        feeds.add_feeds(connection, region_key)
    _number_rows(connection, region_key, rules, merged)
    merged.changes = compare_versions(
        connection,
        region_key,
        replace=rules.replace_conflicts,
        is_current=rules.is_current or rules.replace_conflicts,
    )
    if merged.changes.conflicts:
        refused = merged.changes.refusal(connection, region_key, rules.echoed, rules.timezone)
        merged.refused.append(refused)
    if rules.replace_feed:
        merged.removed = feeds.remove_missing(connection, region_key)
    twins = settle_twins(connection, region_key, upload_id, rules.near_duplicates)
    merged.twins = twins or merged.twins
    apply_changes(connection, region_key, upload_id, merged.changes)
    values = {"region": region_key, "upload": upload_id, "limit": MAX_EQUAL_ROWS}
    insert = _INSERT.format(only="" if twins is None else _WITHOUT_TWINS)
    merged.added = connection.execute(text(insert), values).rowcount
    counts = connection.execute(_COUNT_REPEATED, {"limit": MAX_EQUAL_ROWS}).one()
    accepted_again, refused_again, too_often, n_rows = counts
    if twins is None and not (rules.replace_feed or rules.is_current):
        merged.missing = feeds.count_missing(connection, region_key, n_rows, merged.added)
    if too_often:
        limits = {"limit": MAX_EQUAL_ROWS, "echoed": rules.echoed}
        found = connection.execute(_TOO_OFTEN, limits).one()
        merged.refused.append(
            RefusedRows("too_many_equal_rows", found[0], found[1], {"limit": MAX_EQUAL_ROWS})
        )
    merged.repeated = accepted_again + refused_again - merged.differing
    return merged


def _number_rows(
    connection: Connection, region_key: int, rules: MergeRules, merged: Merged
) -> None:
    """Decide what guessed ids are, and number the rows under their keys."""
    taken = rules.guessed or "ids"
    if rules.guessed == "ids" and feeds.has_references(connection, region_key):
        taken, merged.ids_code = "references", "ids_repeated_before"
    _number_as(connection, region_key, taken, rules)
    merged.differing = _count_differing(connection, taken)
    if rules.guessed == taken == "ids" and merged.differing:
        connection.execute(text("DROP TABLE merged_incidents"))
        feeds.note_references(connection, region_key)
        taken, merged.ids_code = "references", "ids_repeat"
        _number_as(connection, region_key, taken, rules)
        merged.differing = _count_differing(connection, taken)


def _number_as(
    connection: Connection, region_key: int, taken: GuessedIds, rules: MergeRules
) -> None:
    feed_key, joined = ("feeds.key", _FEEDS) if rules.has_feeds else ("CAST(NULL AS integer)", "")
    words = {"staged": _STAGED, "taken_as": _TAKEN_AS[taken]}
    statement = _NUMBER_ROWS.format(**words, feed_key=feed_key, feeds=joined)
    connection.execute(text(statement), {"region": region_key})


def _count_differing(connection: Connection, taken: GuessedIds) -> int:
    if not connection.scalar(_HAS_COPIES):
        return 0
    statement = _COUNT_DIFFERING.format(staged=_STAGED, taken_as=_TAKEN_AS[taken])
    return int(connection.execute(text(statement)).scalar_one())


def _refuse_categories(
    connection: Connection, region_key: int, rules: MergeRules
) -> list[RefusedRows]:
    """Remove staged rows whose category exceeds the region's limit."""
    limit = rules.max_categories
    names = list(connection.scalars(_TOO_MANY, {"region": region_key, "limit": limit}))
    if not names:
        return []
    values: dict[str, Any] = {"names": names, "echoed": rules.echoed}
    found = connection.execute(_REFUSE_CATEGORIES, values).one()
    return [RefusedRows("too_many_categories", found[0], found[1], {"limit": limit})]
