"""Store a validated upload: merge its rows, and record what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from app.audit import store as audit
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.errors import Conflict
from app.incidents import writes
from app.incidents.merging.merge import Merged, MergeRules, merge
from app.incidents.parsing.row_errors import ROW_MESSAGES
from app.incidents.placing import follow_incidents
from app.incidents.summary import IngestSummary
from app.incidents.uploads.validation import Upload
from app.incidents.uploads.warnings import merge_warnings, place_warnings, row_warnings
from app.regions.store import get_region_by_key, set_crs

REFUSED_BY_MERGE = {
    "too_many_categories": "category",
    "too_many_equal_rows": "external_id",
    "id_conflict": "external_id",
}
"""{code: field}."""
MOST_REJECTED = 0.02
"""Share of rows that may be rejected where a file replaces its feed."""
STATISTICS_FROM_ROWS = 20_000
"""Fewer new rows are left to autovacuum."""


def merge_upload(
    connection: Connection, upload: Upload, key: str | None, source: str | None, body_sha256: str
) -> IngestSummary:
    """Merge the spooled rows and write the summary, in the caller's transaction.

    Raises:
        NotFound: the region was removed meanwhile.
        Conflict: a concurrent first upload placed the region elsewhere, or the region was changed.
    """
    region = upload.region
    _check_whole(upload)
    upload.times.check()
    writes.create_staging(connection)
    writes.stage(connection, upload.rows, upload.refused)
    transaction_lock(connection, INGEST_LOCK, region.key)
    _place_region(connection, upload)
    upload_id = writes.begin_upload(connection, region.key, key, source)
    merged = merge(connection, region.key, upload_id, _rules(upload))
    follow_incidents(connection, region.key)
    if merged.added >= STATISTICS_FROM_ROWS:
        writes.refresh_statistics(connection, region.key)
    summary = _sum_up(upload, merged)
    summary.upload_id = upload_id
    if (n_rows := summary.received - summary.rejected) and upload.crs is not None:
        summary.warnings += place_warnings(connection, region, upload.crs, n_rows)
    report = {
        "repeated_rows": merged.repeated,
        "implausible_years": dict(sorted(upload.implausible_years.items())),
        "far_rows": upload.distances.n_far,
        "swapped_rows": upload.n_swapped,
    }
    writes.end_upload(connection, upload_id, body_sha256, summary.without_stored(), report)
    audit.record(
        connection,
        "ingest",
        chain=region.id,
        upload=upload_id,
        received=summary.received,
        accepted=summary.accepted,
    )
    return summary


def _check_whole(upload: Upload) -> None:
    """Raise if a file that is to replace its feed was not read nearly as a whole.

    Raises:
        Conflict: what its rejected rows stand for would be removed.
    """
    n, received = upload.summary.rejected, upload.summary.received
    if upload.choices.replace == "feed" and n > MOST_REJECTED * received:
        raise Conflict(
            f"{n:,} of {received:,} rows are rejected, and replace=feed would remove their "
            "incidents; see the rows with dry_run=true and without replace, and correct them first",
            field="replace",
            code="replace_incomplete",
            params={"rejected": n, "received": received},
        )


def _rules(upload: Upload) -> MergeRules:
    """Return how the merge treats rows that may be stored already."""
    guessed = upload.identity.ids.taken_as()
    return MergeRules(
        max_categories=upload.settings.max_categories,
        echoed=upload.settings.max_errors_echoed,
        has_feeds=upload.identity.has_feeds,
        guessed=None if guessed is None else guessed[0],
        replace_conflicts=upload.choices.on_conflict == "replace",
        is_current=upload.choices.is_current,
        near_duplicates=upload.choices.near_duplicates,
        replace_feed=upload.choices.replace == "feed",
        timezone=upload.region.timezone,
    )


def _place_region(connection: Connection, upload: Upload) -> None:
    """Store the CRS chosen from a region's first incidents, if the region is as it was."""
    now = get_region_by_key(connection, upload.region.key)
    if now.revision != upload.region.revision:
        raise Conflict(
            "the region's time zone, boundary or CRS was changed while the file was read; nothing was "
            "stored: send it again",
            code="region_changed",
        )
    if upload.region.crs is not None or upload.crs is None:
        return
    if set_crs(connection, upload.region.key, upload.crs) != upload.crs:
        raise Conflict(
            "a concurrent first upload placed the region in another UTM zone; send this one again",
            code="region_placed",
        )


def _sum_up(upload: Upload, merged: Merged) -> IngestSummary:
    """Complete an upload's summary by what the merge did."""
    summary, changes = upload.summary, merged.changes
    _note_refused(upload, merged.refused)
    summary.corrected = changes.corrected + merged.twins.corrected
    summary.accepted = merged.added + summary.corrected
    summary.removed = merged.removed
    summary.conflicts = changes.conflicts
    summary.outdated = changes.outdated + changes.turned_back
    summary.duplicates = summary.received - summary.rejected - summary.accepted
    summary.rejected_by_code = dict(sorted(upload.codes.items()))
    _describe_tables(upload, merged.ids_code)
    summary.read = upload.readings.to_json()
    summary.warnings = [*row_warnings(upload), *merge_warnings(merged)]
    return summary


def _describe_tables(upload: Upload, ids_code: str | None) -> None:
    """Add to the tables' readings what was assumed of their ids and times."""
    tables = upload.readings.tables
    described = upload.identity.ids.described([*tables.values()], ids_code)
    described = upload.times.described(described)
    upload.readings.tables = dict(zip(tables, described, strict=True))


def _note_refused(upload: Upload, refused: Sequence[writes.RefusedRows]) -> None:
    """Add the rows that the merge rejected, and sort errors by row."""
    summary = upload.summary
    for found in refused:
        upload.codes[found.code] += found.count
        summary.rejected += found.count
        each = found.each or [found.params] * len(found.first)
        for place, params in zip(found.first, each, strict=True):
            reason = ROW_MESSAGES.make(found.code, **params).to_json()
            column = REFUSED_BY_MERGE[found.code]
            summary.errors.append({"row": place + 1, "field": column, **reason})
    summary.errors.sort(key=lambda error: int(error["row"]))
    del summary.errors[upload.settings.max_errors_echoed :]
