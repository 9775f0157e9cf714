"""Remove the traces of erased incidents from versions, backtests, runs and reports.

Versions and backtests made from few incidents reveal single ones and are deleted; those made from many
are only marked (`erasures`). Names of unused categories are removed wherever they were copied to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, cast, delete, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT

from app.core.db.tables import alarms, model_versions, training_runs
from app.registry.erasure_texts import blank_names
from app.registry.integrity import seal_version
from app.registry.retention import collect
from app.registry.store import sound_version
from app.releases.small_counts import OTHER
from app.runs.words import words

FEW = 100
"""A version of fewer incidents is deleted when one is erased: its densities are bumps around each one.

From 100 on, one incident changes no cell's share by more than a hundredth.
"""
FEW_OF_CATEGORY = 20
"""The same for a category, which has a density of its own; also the minimum shown to readers."""

_OF_FEW = text(
    """
    WITH gone AS (
        SELECT name, n FROM unnest(CAST(:names AS text[]), CAST(:counts AS bigint[])) AS g(name, n)
    ), learnt AS MATERIALIZED (  -- its categories, and those that a request named, as rows
        SELECT v.version, c.name, true AS own FROM model_versions AS v,
            jsonb_array_elements_text(v.categories) AS c(name) WHERE v.region_key = :region
        UNION ALL
        SELECT v.version, c.name, false FROM model_versions AS v, jsonb_array_elements_text(
            CASE jsonb_typeof(v.settings -> 'categories')
            WHEN 'array' THEN v.settings -> 'categories' ELSE '[]' END) AS c(name)
        WHERE v.region_key = :region
    ), counted AS (
        SELECT v.version, g.n AS gone, ARRAY(
            SELECT c.key FROM categories AS c WHERE c.region_key = :region AND c.name = g.name) AS keys
        FROM model_versions AS v JOIN learnt AS l ON l.version = v.version AND l.own
        JOIN gone AS g ON g.name = l.name
        WHERE v.region_key = :region AND v.version = ANY(:versions)
        UNION ALL  -- what a release's version counts under one name
        SELECT v.version, g.n, ARRAY(
            SELECT c.key FROM categories AS c WHERE c.region_key = :region
            AND c.name NOT IN (SELECT l.name FROM learnt AS l WHERE l.version = v.version AND l.own))
        FROM model_versions AS v JOIN LATERAL (
            SELECT min(n) AS n FROM gone AS g WHERE NOT EXISTS (
                SELECT FROM learnt AS l WHERE l.version = v.version AND l.own AND l.name = g.name)
        ) AS g ON g.n IS NOT NULL
        WHERE v.region_key = :region AND v.version = ANY(:versions)
          AND v.settings ->> 'release' IS NOT NULL AND v.categories ? :rest
    )
    SELECT v.version FROM model_versions AS v
    WHERE v.region_key = :region AND (
        v.version = ANY(:versions) AND (v.n_incidents < :few OR EXISTS (
            SELECT FROM counted AS own WHERE own.version = v.version
            AND own.gone + (SELECT count(*) FROM (
                SELECT FROM incidents AS i
                WHERE i.region_key = :region AND i.category_key = ANY(own.keys)
                  AND i.occurred_at < v.cutoff AND i.inserted_at <= v.created_at
                LIMIT :few_of_category) AS held) < :few_of_category))
        OR EXISTS (SELECT FROM learnt AS l WHERE l.version = v.version
                   AND l.name = ANY(CAST(:vanished AS text[]))))
    """
)
_OF_FEW_BACKTESTS = text(
    """
    UPDATE backtests SET result = NULL, message = :message, said = CAST(:said AS jsonb)
    WHERE region_key = :region AND result IS NOT NULL
      AND coalesce(finished_at, created_at) >= :inserted_at
      AND ((result ->> 'n')::float8 < :few
           OR (result #>> '{provenance,n_incidents}')::float8 < :few
           OR jsonb_path_exists(result, '$.models.*.per_origin[*].n ? (@ < $few)',
                                jsonb_build_object('few', CAST(:few_of_category AS integer))))
    """
)
_REPORTS = ("report", "scores", "gate", "settings", "provenance", "counts")


def versions_of_few(
    connection: Connection,
    region_key: int,
    dependent: Sequence[str],
    gone: dict[str, int],
    vanished: Sequence[str],
) -> list[str]:
    """Find the versions that an erasure removes too.

    Args:
        dependent: versions that had learnt from the erased incidents.
        gone: number of erased incidents by category.
        vanished: names of unused categories; versions that learnt them are always deleted.
    """
    values = {
        "region": region_key,
        "versions": list(dependent),
        "names": list(gone),
        "counts": list(gone.values()),
        "vanished": list(vanished),
        "few": FEW,
        "few_of_category": FEW_OF_CATEGORY,
        "rest": OTHER,
    }
    return sorted(connection.scalars(_OF_FEW, values))


def lost_few(
    connection: Connection, region_key: int, run_id: UUID, cutoff: datetime, read: dict[str, int]
) -> bool:
    """Return whether a run read few incidents, or few of a category, of which some are erased since.

    Args:
        read: number of incidents it had read by category, up to the cutoff.
    """
    values = {"region": region_key, "run": run_id, "cutoff": cutoff}
    left: dict[str, int] = {}
    for name, n in connection.execute(_LEFT, values):
        known = name if name in read else OTHER
        left[known] = left.get(known, 0) + int(n)
    if sum(read.values()) < FEW:
        return any(left.get(name, 0) < n for name, n in read.items())
    return any(
        left.get(name, 0) < n
        for name, n in read.items()
        if n and min(n, left.get(name, 0)) < FEW_OF_CATEGORY
    )


_LEFT = text(
    """
    SELECT c.name, count(*) FROM incidents AS i
    JOIN categories AS c ON c.region_key = i.region_key AND c.key = i.category_key
    JOIN training_runs AS run ON run.id = :run
    WHERE i.region_key = :region AND i.occurred_at < :cutoff AND i.source = 'reported'
      AND i.inserted_at <= run.started_at
    GROUP BY c.name
    """
)


def drop_versions(connection: Connection, region_key: int, versions: Sequence[str]) -> None:
    """Delete versions with their forecasts, scores, alarms, artifacts, and what their runs store."""
    if not versions:
        return
    runs = training_runs.c
    connection.execute(
        update(training_runs)
        .where(runs.region_key == region_key, runs.model_version.in_(versions))
        .values(
            model_version=None,
            **words("run_version_erased"),
            metrics={},
            request=runs.request.concat(cast({"categories": None, "until": None}, JSONB)),
        )
    )
    mine = model_versions.c.region_key == region_key
    connection.execute(delete(model_versions).where(mine, model_versions.c.version.in_(versions)))
    connection.execute(
        delete(alarms).where(alarms.c.region_key == region_key, alarms.c.version.in_(versions))
    )
    collect(connection)


def drop_backtests(connection: Connection, region_key: int, inserted_at: Any) -> int:
    """Delete results of backtests of few incidents that may have used the erased ones."""
    values = {
        "region": region_key,
        "inserted_at": inserted_at,
        "few": FEW,
        "few_of_category": FEW_OF_CATEGORY,
        **words("run_result_erased"),
    }
    values["said"] = json.dumps(values["said"])
    return connection.execute(_OF_FEW_BACKTESTS, values).rowcount


def forget_names(connection: Connection, region_key: int, names: Sequence[str]) -> None:
    """Remove names of categories from all other records."""
    if not names:
        return
    _trim_requests(connection, region_key, names)
    blank_names(connection, region_key, names)
    _trim_reports(connection, region_key, names)
    connection.execute(
        text(
            "UPDATE releases SET categories = categories - CAST(:names AS text[])"
            " WHERE region_key = :region AND categories ?| CAST(:names AS text[])"
        ),
        {"region": region_key, "names": list(names)},
    )


def _trim_requests(connection: Connection, region_key: int, names: Sequence[str]) -> None:
    """Remove names from the requests of runs; cancel a queued run that has none left."""
    runs = training_runs.c
    named = runs.request["categories"].has_any(cast(list(names), ARRAY(TEXT)))
    listed = text("jsonb_typeof(request -> 'categories') = 'array'")
    gone = set(names)
    found = connection.execute(
        select(runs.id, runs.request, runs.status).where(
            runs.region_key == region_key, listed, named
        )
    ).all()
    for run in found:
        left = [name for name in run.request["categories"] if name not in gone]
        values: dict[str, Any] = {"request": {**run.request, "categories": left or None}}
        if run.status == "queued" and not left:
            values |= {"status": "cancelled", **words("run_categories_erased")}
        connection.execute(update(training_runs).where(runs.id == run.id).values(**values))


def _trim_reports(connection: Connection, region_key: int, names: Sequence[str]) -> None:
    """Remove names from reports of versions that stay, and seal those again."""
    records = connection.scalars(
        select(model_versions.c.version).where(model_versions.c.region_key == region_key)
    ).all()
    for version in records:
        record = sound_version(connection, region_key, version)
        if record is None:
            continue  # altered, so refused everywhere: sealing would validate it
        stored = {column: getattr(record, column) for column in _REPORTS}
        trimmed = {column: _without(value, set(names)) for column, value in stored.items()}
        if trimmed != stored:
            mine = model_versions.c.region_key == region_key
            connection.execute(
                update(model_versions)
                .where(mine, model_versions.c.version == version)
                .values(**trimmed)
            )
            seal_version(connection, region_key, version)


def _without(value: Any, names: set[str], of_categories: bool = False) -> Any:
    """Remove these names from JSON where it lists categories or has facts by category."""
    if isinstance(value, dict):
        return {
            key: _without(one, names, key.endswith("categories") or key == "memorisation")
            for key, one in value.items()
            if not (of_categories and key in names)
        }
    if isinstance(value, list):
        return [
            _without(one, names, of_categories)
            for one in value
            if not (of_categories and isinstance(one, str) and one in names)
        ]
    return value
