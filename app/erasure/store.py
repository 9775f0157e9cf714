"""Delete incidents permanently, and record what was erased."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Connection,
    TextClause,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)

from app.core.bounds import MAX_TEXT_CHARS
from app.core.db.tables import erased_versions, erasures, feeds, training_runs, uploads
from app.incidents.parsing.identity import id_key
from app.incidents.uploads.erasure import refuse_keys, same_body
from app.registry.erasure_marks import mark
from app.releases.small_counts import OTHER

# An incident's present form, and its forms before corrections: older versions learnt those.
_ERASE = """
    WITH gone AS (
        DELETE FROM incidents WHERE region_key = :region AND {present}
        RETURNING id, occurred_at, occurred_to, inserted_at, category_key, source, upload_id
    ), past AS (
        DELETE FROM incident_history AS h
        WHERE h.region_key = :region AND ({past})
        RETURNING (before->>'occurred_at')::timestamptz AS occurred_at,
                  (before->>'occurred_to')::timestamptz AS occurred_to,
                  (before->>'inserted_at')::timestamptz AS inserted_at,
                  (before->>'category_key')::integer AS category_key, before->>'source' AS source,
                  (before->>'upload_id')::bigint AS upload_id
    ), every_form AS (
        SELECT occurred_at, occurred_to, inserted_at, category_key, source, upload_id FROM gone
        UNION ALL SELECT * FROM past
    ), by_category AS (
        SELECT c.name, count(*) AS n FROM every_form
        JOIN categories AS c ON c.key = every_form.category_key GROUP BY c.name
    )
    SELECT (SELECT count(*) FROM gone) AS n_incidents,
           (SELECT count(*) FROM past) AS n_past,
           min(occurred_at) AS first_at, min(inserted_at) AS inserted_at,
           coalesce(bool_or(source = 'reported'), false) AS reported,
           (SELECT coalesce(jsonb_object_agg(name, n), '{{}}') FROM by_category) AS categories,
           coalesce(array_agg(DISTINCT upload_id), '{{}}') AS uploads,
           coalesce((SELECT array_agg(DISTINCT day::date) FROM every_form, generate_series(
               (occurred_at AT TIME ZONE r.timezone)::date,
               (coalesce(occurred_to - interval '1 second', occurred_at) AT TIME ZONE r.timezone)::date,
               interval '1 day') AS day), '{{}}') AS days
    FROM regions AS r LEFT JOIN every_form ON true WHERE r.key = :region GROUP BY r.timezone
"""
_ERASE_INCIDENTS = text(_ERASE.format(present="id = ANY(:ids)", past="h.incident_id = ANY(:ids)"))
# Each way by an index; also incidents that a feed no longer has, which are in the history alone.
_NAMED = text(
    """
    SELECT DISTINCT found.id, by_external_id, by_reference, by_id, coalesce(f.name, '') AS feed FROM (
        SELECT id, external_id = :given AS by_external_id, reference = :given AS by_reference,
            id = :number AS by_id, feed_key
        FROM incidents WHERE region_key = :region AND (id = :number OR reference = :given
          OR external_id = :given AND (dedup_key = ANY(CAST(:keys AS uuid[])) OR :every))
        UNION ALL
        SELECT incident_id, external_id = :given, before ->> 'reference' = :given,
            incident_id = :number, (before ->> 'feed_key')::integer
        FROM incident_history WHERE region_key = :region
          AND (external_id = :given OR before ->> 'reference' = :given OR incident_id = :number)
    ) AS found LEFT JOIN feeds AS f ON f.key = found.feed_key
    """
)
_ERASE_UPLOAD = text(
    _ERASE.format(
        present="upload_id = :upload",
        past="h.before->>'upload_id' = :upload_text OR h.incident_id IN (SELECT id FROM gone)",
    )
)
_DEPENDENT = text(
    """
    SELECT version FROM model_versions
    WHERE region_key = :region AND cutoff > :first_at AND created_at >= :inserted_at
      AND (categories ?| CAST(:categories AS text[])
           OR settings ->> 'release' IS NOT NULL AND categories ? :rest)
      AND (:reported OR coalesce((report #>> '{data,discovered_weight}')::float8, 0) > 0)
    """
)


@dataclass(frozen=True)
class Erased:
    """What an erasure removed, as needed to find dependent versions; it is not stored."""

    n_incidents: int
    n_past: int
    first_at: datetime | None
    inserted_at: datetime | None
    reported: bool
    categories: dict[str, int]
    """{name: count}."""
    uploads: list[int]
    days: list[date]
    """Local dates."""


@dataclass(frozen=True)
class Erasure:
    """A finished erasure, as stored."""

    id: int
    what: str
    n_incidents: int
    run_id: UUID | None
    created_at: datetime
    versions_dropped: int
    versions: list[str]


@dataclass(frozen=True)
class NamedIncident:
    """An incident that a text may name, present or in the history."""

    id: int
    by_external_id: bool | None
    by_reference: bool | None
    by_id: bool | None
    feed: str


def named_incidents(connection: Connection, region_key: int, given: str) -> list[NamedIncident]:
    """Find the incidents with this external id, reference, or id of the listing."""
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
    mine = select(feeds.c.name).where(feeds.c.region_key == region_key)
    keys = [id_key(given, feed) for feed in ("", *connection.scalars(mine))]
    values = {"region": region_key, "given": given, "number": number, "keys": keys}
    statement = _NAMED.bindparams(bindparam("number", type_=BigInteger))

    def find(every: bool) -> list[NamedIncident]:
        rows = connection.execute(statement, {**values, "every": every})
        return [NamedIncident(**row._mapping) for row in rows]

    # Longer ids of early releases were cut to this length; their keys are of all of them.
    if len(given) >= MAX_TEXT_CHARS:
        return find(every=True)
    found = find(every=False)
    # None may be missed, whatever its key: before saying that there is none, all are read.
    return found if any(one.by_external_id for one in found) else find(every=True)


def erase_by_ids(connection: Connection, region_key: int, ids: list[int]) -> Erased:
    """Delete incidents and their history."""
    return _erased(connection, _ERASE_INCIDENTS, {"region": region_key, "ids": ids})


def _erased(connection: Connection, statement: TextClause, values: dict[str, Any]) -> Erased:
    row = connection.execute(statement, values).one()._mapping
    lists = {name: [one for one in row[name] if one is not None] for name in ("uploads", "days")}
    return Erased(**{**row, **lists})


def erase_by_upload(connection: Connection, region_key: int, upload_id: int) -> Erased | None:
    """Delete what an upload brought, and the upload's own row; None when there is no such upload.

    Incidents corrected by a later upload belong to that one; their earlier forms are deleted with this.
    """
    found = connection.scalar(
        select(uploads.c.id).where(uploads.c.region_key == region_key, uploads.c.id == upload_id)
    )
    if found is None:
        return None
    values = {"region": region_key, "upload": upload_id, "upload_text": str(upload_id)}
    gone = _erased(connection, _ERASE_UPLOAD, values)
    refuse_keys(connection, region_key, same_body(connection, region_key, upload_id))
    connection.execute(uploads.delete().where(uploads.c.id == upload_id))
    return gone


def dependent_versions(connection: Connection, region_key: int, gone: Erased) -> list[str]:
    """List versions whose training may have included the erased incidents."""
    if gone.first_at is None:
        return []
    rows = connection.execute(
        _DEPENDENT,
        {
            "region": region_key,
            "first_at": gone.first_at,
            "inserted_at": gone.inserted_at,
            "reported": gone.reported,
            "categories": list(gone.categories),
            "rest": OTHER,
        },
    )
    return [str(row.version) for row in rows]


def store_erasure(
    connection: Connection,
    region_key: int,
    what: str,
    n_incidents: int,
    versions: list[str],
    n_dropped: int,
) -> int:
    """Record an erasure and mark the versions that stay; returns its id."""
    erasure_id = int(
        connection.execute(
            insert(erasures)
            .values(
                region_key=region_key,
                what=what,
                n_incidents=n_incidents,
                versions_dropped=n_dropped,
            )
            .returning(erasures.c.id)
        ).scalar_one()
    )
    mark(connection, region_key, [erasure_id], versions)
    return erasure_id


def set_retraining(connection: Connection, erasure_id: int, run_id: UUID) -> None:
    """Store which training run answers an erasure."""
    connection.execute(update(erasures).where(erasures.c.id == erasure_id).values(run_id=run_id))


def is_training(connection: Connection, region_key: int) -> bool:
    """Return whether a training is running; it may have read what an erasure removes."""
    running = select(training_runs.c.id).where(
        training_runs.c.region_key == region_key, training_runs.c.status == "running"
    )
    return connection.execute(running.limit(1)).first() is not None


def queued_run(connection: Connection, region_key: int, request: dict[str, Any]) -> UUID | None:
    """Return a queued run with an equal request: it has read nothing yet, so it serves an erasure too."""
    found: UUID | None = connection.scalar(
        select(training_runs.c.id)
        .where(
            training_runs.c.region_key == region_key,
            training_runs.c.status == "queued",
            training_runs.c.request == bindparam("request", request, training_runs.c.request.type),
        )
        .limit(1)
        .with_for_update()
    )
    return found


def list_erasures(connection: Connection, region_key: int, limit: int = 100) -> list[Erasure]:
    """List a region's newest erasures."""
    named = func.array_agg(erased_versions.c.version).filter(erased_versions.c.version.isnot(None))
    rows = connection.execute(
        select(
            erasures.c.id,
            erasures.c.what,
            erasures.c.n_incidents,
            erasures.c.run_id,
            erasures.c.created_at,
            erasures.c.versions_dropped,
            func.coalesce(named, text("'{}'")).label("versions"),
        )
        .outerjoin(erased_versions, erased_versions.c.erasure_id == erasures.c.id)
        .where(erasures.c.region_key == region_key)
        .group_by(erasures.c.id)
        .order_by(erasures.c.id.desc())
        .limit(limit)
    )
    return [Erasure(**row._mapping) for row in rows]
