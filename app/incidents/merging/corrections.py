"""Compare new versions of known ids with the stored ones, and correct those that may be corrected."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.core.roles import sees_unreleased
from app.core.texts import shortened
from app.incidents.writes import RefusedRows

DAY_S, FAR_M = 86_400, 1_000
"""A version that differs by more in time and place, and in category, is probably another incident."""
_STORED = "i.occurred_at, i.occurred_to, i.longitude, i.latitude, i.category_key, i.source"
_SENT = """to_timestamp(m.time_s), to_timestamp(m.end_s), m.longitude, m.latitude, m.category_key,
    m.source"""
# Equal versions are left out, so that the table holds only what a file changes.
_COMPARE = text(
    f"""
    CREATE TEMP TABLE changed_incidents ON COMMIT DROP AS
    SELECT compared.*, (late::integer + far::integer + other::integer) AS n_differ,
           false AS conflicts,
           NOT same AND coalesce(revised_s < stored_revised_s, false) AS outdated,
           NOT same AND (revised_s IS NULL OR stored_revised_s IS NULL) AND NOT :current
               AND EXISTS (
               SELECT FROM incident_history AS h
               WHERE h.region_key = :region AND h.incident_id = compared.id
                 AND (h.before ->> 'occurred_at')::timestamptz = to_timestamp(time_s)
                 AND (h.before ->> 'occurred_to')::timestamptz
                     IS NOT DISTINCT FROM to_timestamp(end_s)
                 AND (h.before ->> 'longitude')::float8 = longitude
                 AND (h.before ->> 'latitude')::float8 = latitude
                 AND (h.before ->> 'category_key')::integer = category_key) AS turned_back
    FROM (
        SELECT m."row", m.dedup_key, i.id, m.time_s, m.end_s, m.longitude, m.latitude, m.category_key,
            m.revised_s, extract(epoch FROM i.revised_at) AS stored_revised_s,
            ({_STORED}) IS NOT DISTINCT FROM ({_SENT}) AS same,
            greatest(extract(epoch FROM i.occurred_at), m.time_s)
                - least(extract(epoch FROM coalesce(i.occurred_to, i.occurred_at)),
                        coalesce(m.end_s, m.time_s)) > {DAY_S} AS late,
            111195 * sqrt((i.latitude - m.latitude) ^ 2 + (cos(radians(m.latitude)) * least(
                abs(i.longitude - m.longitude), 360 - abs(i.longitude - m.longitude))) ^ 2)
                > {FAR_M} AS far,
            i.category_key <> m.category_key AS other
        FROM merged_incidents AS m, incidents AS i
        WHERE m.external_id IS NOT NULL AND i.region_key = :region AND i.dedup_key = m.dedup_key
          AND i.occurrence = 1
          AND (({_STORED}) IS DISTINCT FROM ({_SENT})
               OR m.reference <> coalesce(i.reference, '')
               OR to_timestamp(m.revised_s) > coalesce(i.revised_at, '-infinity'))
    ) AS compared
    """  # noqa: S608 - only numbers are filled in
)
_COUNT_CONFLICTS = text(
    """
    SELECT count(*) FILTER (WHERE n_differ = 3), count(*) FILTER (WHERE n_differ >= 2),
           (SELECT count(*) FROM merged_incidents AS m JOIN incidents AS i
                ON i.region_key = :region AND i.dedup_key = m.dedup_key AND i.occurrence = 1
            WHERE m.external_id IS NOT NULL)
    FROM changed_incidents WHERE NOT same AND NOT outdated
    """
)
_MARK_CONFLICTS = text(
    """
    UPDATE changed_incidents SET conflicts = true
    WHERE NOT same AND NOT outdated AND n_differ >= :fewest
    """
)
_COUNT = text(
    """
    SELECT count(*) FILTER (WHERE outdated), count(*) FILTER (WHERE turned_back)
    FROM changed_incidents WHERE NOT conflicts
    """
)
_CONFLICTS = text(
    """
    SELECT c."row", m.external_id, to_char(i.occurred_at AT TIME ZONE :zone, 'YYYY-MM-DD') AS day,
           k.name
    FROM changed_incidents AS c JOIN merged_incidents AS m USING (dedup_key)
    JOIN incidents AS i ON i.region_key = :region AND i.id = c.id
    JOIN categories AS k ON k.key = i.category_key
    WHERE c.conflicts ORDER BY c."row" LIMIT :limit
    """
)
_APPLIED = """i.region_key = :region AND c.id = i.id
    AND NOT c.same AND NOT c.conflicts AND NOT c.outdated AND NOT c.turned_back"""
_KEEP_HISTORY = text(
    f"""
    INSERT INTO incident_history (region_key, external_id, action, before, incident_id)
    SELECT i.region_key, i.external_id, 'corrected', to_jsonb(i), i.id
    FROM changed_incidents AS c, incidents AS i WHERE {_APPLIED}
    """  # noqa: S608
)
_CORRECT = text(
    f"""
    UPDATE incidents AS i SET
        occurred_at = to_timestamp(m.time_s), occurred_to = to_timestamp(m.end_s),
        longitude = m.longitude, latitude = m.latitude,
        x_m = m.x_m, y_m = m.y_m, "window" = m."window", category_key = m.category_key,
        source = m.source, upload_id = :upload, reference = coalesce(m.reference, i.reference),
        revised_at = greatest(i.revised_at, to_timestamp(m.revised_s))
    FROM changed_incidents AS c JOIN merged_incidents AS m USING (dedup_key)
    WHERE {_APPLIED}
    """  # noqa: S608
)
# The incident is what it was; only what is known of the record is newer.
_NOTE = text(
    """
    UPDATE incidents AS i SET reference = coalesce(m.reference, i.reference),
        revised_at = greatest(i.revised_at, to_timestamp(m.revised_s))
    FROM changed_incidents AS c JOIN merged_incidents AS m USING (dedup_key)
    WHERE i.region_key = :region AND c.id = i.id AND c.same
    """
)


@dataclass
class Changes:
    """What became of rows whose id is stored with another version.

    Args:
        corrected: incidents that were corrected.
        conflicts: rows that seem to be other incidents; they are rejected.
        outdated: rows with an older revision than the stored one.
        turned_back: rows that equal what an incident was before a correction; not applied either.
    """

    corrected: int = 0
    conflicts: int = 0
    outdated: int = 0
    turned_back: int = 0

    def refusal(
        self, connection: Connection, region_key: int, echoed: int, timezone: str
    ) -> RefusedRows:
        """Return the conflicts as rejected rows; what is stored is named only to those who may list it."""
        values = {"region": region_key, "limit": echoed, "zone": timezone}
        found = connection.execute(_CONFLICTS, values).all()
        shown = sees_unreleased.get()
        each = [
            {"id": shortened(row.external_id), "stored": f" ({row.day}, {row.name})" * shown}
            for row in found
        ]
        return RefusedRows("id_conflict", self.conflicts, [row.row for row in found], each=each)


def compare_versions(
    connection: Connection, region_key: int, *, replace: bool, is_current: bool
) -> Changes:
    """Find merged rows whose id is stored with another version, and decide which may correct it.

    Args:
        replace: apply conflicts too.
        is_current: apply versions that an earlier correction replaced.
    """
    values = {"region": region_key}
    connection.execute(_COMPARE, {**values, "current": is_current})
    changes = Changes()
    if not replace:
        all_differ, most_differ, n_known = connection.execute(_COUNT_CONFLICTS, values).one()
        if all_differ:
            # Numbers that start again each year: chance alone makes some pairs alike.
            fewest = 0 if 2 * most_differ > n_known else 2
            marked = connection.execute(_MARK_CONFLICTS, {"fewest": fewest})
            changes.conflicts = marked.rowcount
    changes.outdated, changes.turned_back = connection.execute(_COUNT).one()
    return changes


def apply_changes(
    connection: Connection, region_key: int, upload_id: int, changes: Changes
) -> None:
    """Correct the incidents that may be corrected; their earlier versions go to the history."""
    values = {"region": region_key}
    connection.execute(_KEEP_HISTORY, values)
    changes.corrected = connection.execute(_CORRECT, {**values, "upload": upload_id}).rowcount
    connection.execute(_NOTE, values)
