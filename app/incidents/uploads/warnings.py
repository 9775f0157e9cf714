"""What is said about an upload besides its counts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from app.core.messages import Message, MessageTable
from app.geo.study_area import MAX_EXTENT_DEG
from app.incidents.full_places import places_in_doubt
from app.incidents.merging.merge import Merged
from app.incidents.uploads.validation import Upload
from app.readers.columns.personal import shortened_names
from app.regions.store import OutlinedRegion

MAX_GEOCODES = 10
UPLOAD_WARNINGS = MessageTable(
    {
        "looks_swapped": "longitude and latitude look swapped in {n} of {received} rows; exchange "
        "the columns and send the file again",
        "outside_study_area": "{n} of {received} rows lie over 1 km outside the study area, near {near}",
        "far_away": "{n} rows lie over {degrees:g} degrees from the others, the first near {near}",
        "few_places": "{n} incidents lie on only {distinct} points, typically {nearest_m:,.0f} m apart, one "
        "per precinct or block: send their own places, or give the region cells of that size",
        "default_geocode": "{n} incidents ({share:.1%}) lie on one point, {longitude:.5f}, {latitude:.5f}, "
        "with the mix of hours and kinds of all: a default geocode, which trainings leave out; if the "
        "place is real, name it in the learning policy's keep_places",
        "default_geocode_times": "{n} incidents ({share:.1%}) lie on one point, {longitude:.5f}, "
        "{latitude:.5f}, most at one time of day: a default geocode, which trainings leave out; if the "
        "place is real, name it in the learning policy's keep_places",
        "place_dropped": "{n} incidents on {longitude:.5f}, {latitude:.5f} are left out of trainings, as "
        "the learning policy says",
        "personal_columns": "columns about persons were not read: {columns}",
        "repeated_ids": "{n} rows differ from a later row with their external_id, which counts; if "
        "several incidents share it, send columns=external_id= and columns=reference=COLUMN",
        "id_conflicts": "{n} rows have the external_id of a stored incident of another time, place "
        "or category and were rejected; send feed=NAME if someone else numbers these incidents, or "
        "on_conflict=replace if they are corrections",
        "turned_back": "{n} rows equal what an incident was before it was corrected and were not "
        "applied: is the file older? If not, send on_conflict=replace",
        "near_duplicates_skipped": "{n} rows nearly equal stored incidents, which were left as they are",
        "near_duplicates_replaced": "{n} stored incidents were corrected by rows that nearly equal them",
        "removed": "{n} stored incidents that the file lacks were removed; hotslot erase also deletes "
        "them from the history",
        "missing_upstream": "the file lacks {n} stored incidents of its feed and time span; if the "
        "publisher has withdrawn them, send the file again with replace=feed",
        "revisions_unread": "updated_at was not understood in {n} rows, so their versions were not "
        "compared; give time_format",
        "open_ends": "{n} incidents have the start of an interval and no end: they are stored at their start",
        "dates_alone": "{n} rows have a date without a time and were rejected; send date_only=interval to "
        "read such a date as an interval of that day",
        "end_time_not_read": "only the start of an incident's time is read; the end is not: {columns}; if "
        "they hold the end of an interval, say columns=occurred_to=COLUMN",
        "count_not_read": "each row counts as one incident; the numbers were not read: {columns}; if they "
        "count incidents, say columns=count=COLUMN",
    }
)


def row_warnings(upload: Upload) -> Iterator[Message]:
    """Say what was noticed while the rows were validated."""
    received = upload.summary.received
    if swapped := upload.n_swapped:
        yield UPLOAD_WARNINGS.make("looks_swapped", n=swapped, received=received)
    if outside := upload.codes["outside_study_area"]:
        yield UPLOAD_WARNINGS.make(
            "outside_study_area",
            n=outside,
            received=received,
            near=str(upload.witness.misplaced),
        )
    if far := upload.distances.n_far:
        near = str(upload.distances.first)
        yield UPLOAD_WARNINGS.make("far_away", n=far, degrees=MAX_EXTENT_DEG, near=near)
    yield from upload.witness.warnings()
    yield from upload.times.warnings([*upload.readings.tables.values()])
    if upload.personal:
        yield UPLOAD_WARNINGS.make("personal_columns", columns=shortened_names(upload.personal))
    if unread := upload.identity.unread_revisions:
        yield UPLOAD_WARNINGS.make("revisions_unread", n=unread)
    if upload.n_open:
        yield UPLOAD_WARNINGS.make("open_ends", n=upload.n_open)
    if not upload.date_only and (dates := upload.n_dates):
        yield UPLOAD_WARNINGS.make("dates_alone", n=dates)
    for reason in ("end_time", "count"):
        if columns := upload.readings.left_aside(reason):
            yield UPLOAD_WARNINGS.make(f"{reason}_not_read", columns=shortened_names(columns))


def merge_warnings(merged: Merged) -> Iterator[Message]:
    """Say what the merge left, corrected or removed."""
    changes = merged.changes
    if merged.differing:
        yield UPLOAD_WARNINGS.make("repeated_ids", n=merged.differing)
    if changes.conflicts:
        yield UPLOAD_WARNINGS.make("id_conflicts", n=changes.conflicts)
    if changes.turned_back:
        yield UPLOAD_WARNINGS.make("turned_back", n=changes.turned_back)
    if merged.twins.skipped:
        yield UPLOAD_WARNINGS.make("near_duplicates_skipped", n=merged.twins.skipped)
    if merged.twins.corrected:
        yield UPLOAD_WARNINGS.make("near_duplicates_replaced", n=merged.twins.corrected)
    if merged.removed:
        yield UPLOAD_WARNINGS.make("removed", n=merged.removed)
    if merged.missing:
        yield UPLOAD_WARNINGS.make("missing_upstream", n=merged.missing)


def place_warnings(
    connection: Connection, region: OutlinedRegion, crs: str, n_rows: int
) -> Iterator[Message]:
    """Say which of an upload's places are implausibly full, and whether they are few."""
    few, found = places_in_doubt(connection, region, crs, n_rows)
    if few is not None:
        yield UPLOAD_WARNINGS.make("few_places", **{**vars(few), "n": n_rows})
    for place in found[:MAX_GEOCODES]:
        yield UPLOAD_WARNINGS.make(**place, share=place["n"] / n_rows)
