"""One upload in progress: blocks are validated, rows are spooled, and all are stored at the end.

The database is not used while the body arrives: a slow client's open transaction would hold a connection
and block vacuum.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from app.audit import store as audit
from app.core.db.locks import INGEST_LOCK, transaction_lock
from app.core.errors import Conflict
from app.core.messages import Message
from app.core.settings import Settings
from app.geo.antimeridian import middle_longitude
from app.geo.boundaries import study_area_from_geojson
from app.geo.hour_of_week import windows_of
from app.geo.study_area import (
    MAX_EXTENT_DEG,
    StudyArea,
    choose_crs,
    to_metres,
)
from app.geo.zone_places import Place
from app.incidents import writes
from app.incidents.merging.merge import Merged, MergeRules, merge
from app.incidents.merging.row_identity import RowIdentity
from app.incidents.parsing.counts import counts_of, expanded
from app.incidents.parsing.identity import whole_ids
from app.incidents.parsing.outliers import FarCheck
from app.incidents.parsing.place_witness import PlaceWitness
from app.incidents.parsing.row_errors import ROW_MESSAGES, RowErrors
from app.incidents.parsing.rules import MARGIN_M, ParsedBlock, parse_block
from app.incidents.parsing.spellings import Spellings
from app.incidents.parsing.upload_times import UploadTimes
from app.incidents.placing import follow_incidents
from app.incidents.summary import IngestSummary, StoreChoices
from app.incidents.upload_warnings import UPLOAD_WARNINGS, merge_warnings, place_warnings
from app.readers.blocks import Block
from app.readers.columns.fields import COUNT
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.personal import shortened_names
from app.readers.context import disk_checked
from app.readers.reading import Readings
from app.readers.times.refused import NO_END_TIME
from app.regions.places import middle_of_boundary
from app.regions.store import OutlinedRegion, get_region_by_key, set_crs

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


class Upload:
    """Validate blocks and spool their rows; `store` merges them in one transaction.

    Args:
        middle: roughly where the region lies, in degrees, if known.
        rows, refused: empty files to spool to.
        spellings: of the region's kinds.
        mapping, choices: the sender's.
    """

    def __init__(
        self,
        region: OutlinedRegion,
        middle: tuple[float, float] | None,
        rows: IO[bytes],
        refused: IO[bytes],
        settings: Settings,
        spellings: Spellings,
        mapping: ColumnMapping | None = None,
        choices: StoreChoices | None = None,
    ) -> None:
        self.choices = choices or StoreChoices()
        mapping = mapping or ColumnMapping()
        self.identity = RowIdentity(mapping, region.timezone)
        self.date_only = mapping.date_only is not None
        self.rows = rows
        self.refused = refused
        self.region = region
        self.settings = settings
        self.spellings = spellings
        self.summary = IngestSummary()
        self.codes: Counter[str] = Counter()
        self.implausible_years: Counter[str] = Counter()
        self.personal: tuple[str, ...] = ()
        self.readings = Readings()
        self.n_rows = 0
        self.n_open = self.n_dates = 0
        self.times = UploadTimes(region.timezone, date_only=self.date_only)
        self.crs = region.crs
        self.area = _given_area(region)
        self.distances = FarCheck(middle)
        known = None if middle is None else Place(*middle)
        given = region.has_boundary and not region.boundary_derived
        sides = (known, None) if given else (None, known)
        self.witness = PlaceWitness(region.id, region.timezone, *sides)

    def add(self, block: Block) -> None:
        """Validate a block and spool its good rows."""
        self.personal = tuple(dict.fromkeys((*self.personal, *block.plan.personal)))
        self.readings.add(block.plan.reading)
        errors = RowErrors(block.n_rows)
        for column, code, unread in (
            ("", "unreadable_row", block.broken),
            ("longitude", "no_place", block.no_place),
        ):
            for place, reason in unread.items():
                errors.bad[place] = True
                errors.reasons[place] = (column, ROW_MESSAGES.make(code, reason=reason))
        counts = None if COUNT not in block.columns else counts_of(block.columns[COUNT], errors)
        guessed = self.identity.ids.note(block.plan.reading, block.columns)
        parsed = parse_block(
            self.times.columns(block, errors),
            block.n_rows,
            timezone=self.times.zone(block),
            now_s=int(time.time()),
            area=self.area,
            errors=errors,
            check_ids=None if guessed else whole_ids,
            date_only=self.date_only,
        )
        self.witness.hear(parsed, errors)
        parsed = self.spellings.applied(parsed)
        if counts is not None:
            one_each = len(parsed.row)
            parsed = expanded(parsed, counts)
            self.summary.received += len(parsed.row) - one_each
        table = self._staged(parsed, errors, block, guessed=guessed) if len(parsed.row) else None
        self._note(errors, block)
        if table is not None:
            with disk_checked():
                self.rows.write(writes.staged_rows(table))

    def _staged(
        self, parsed: ParsedBlock, errors: RowErrors, block: Block, *, guessed: bool
    ) -> pa.Table:
        if self.crs is None:
            self.crs = _crs_of(parsed)
        x_m, y_m = to_metres(parsed.longitude, parsed.latitude, self.crs)
        # Far from a region without a boundary the projection may be undefined.
        finite = np.isfinite(x_m) & np.isfinite(y_m)
        unplaced = np.zeros(errors.n, bool)
        unplaced[parsed.row[~finite]] = True
        errors.add(unplaced, "longitude", "out_of_range")
        lasting = parsed.lasting()
        self.times.note(np.delete(parsed.time_s, lasting) if len(lasting) else parsed.time_s)
        self.n_open += 0 if parsed.is_open is None else int(parsed.is_open.sum())
        if self.area is None:
            self.distances.note(parsed.longitude[finite], parsed.latitude[finite])
        table = pa.table(
            {
                "row": parsed.row + self.n_rows,
                "time_s": parsed.time_s,
                "end_s": _ends(parsed),
                "longitude": parsed.longitude,
                "latitude": parsed.latitude,
                "x_m": x_m.astype(np.float32),
                "y_m": y_m.astype(np.float32),
                "window": windows_of(parsed.time_s, self.region.timezone),
                "category": pa.array(parsed.category, pa.string()),
                "external_id": pa.array(parsed.external_id, pa.string()),
                "source": pa.array(parsed.source, pa.string()),
                **self.identity.columns_of(parsed, block, guessed=guessed),
            }
        )
        return table if finite.all() else table.filter(pa.array(finite))

    def _note(self, errors: RowErrors, block: Block) -> None:
        summary = self.summary
        for place in sorted(errors.reasons):
            column, reason = errors.reasons[place]
            self.codes[reason.code] += 1
            self.n_dates += reason.params.get("why") in ("no_time", NO_END_TIME)
            if len(summary.errors) < self.settings.max_errors_echoed:
                row = self.n_rows + place + 1
                summary.errors.append({"row": row, "field": column, **reason.to_json()})
        self.implausible_years += errors.implausible_years
        refused = sorted(errors.reasons.keys() - block.broken.keys())
        if refused:
            lines = "".join(f"{digest}\n" for digest in _digests(block, refused))
            with disk_checked():
                self.refused.write(lines.encode())
        self.n_rows += block.n_rows
        summary.received += block.n_rows
        summary.rejected += len(errors.reasons)

    def _note_refused(self, refused: list[writes.RefusedRows]) -> None:
        """Add the rows that the merge rejected, and sort errors by row."""
        summary = self.summary
        for found in refused:
            self.codes[found.code] += found.count
            summary.rejected += found.count
            each = found.each or [found.params] * len(found.first)
            for place, params in zip(found.first, each, strict=True):
                reason = ROW_MESSAGES.make(found.code, **params).to_json()
                column = REFUSED_BY_MERGE[found.code]
                summary.errors.append({"row": place + 1, "field": column, **reason})
        summary.errors.sort(key=lambda error: int(error["row"]))
        del summary.errors[self.settings.max_errors_echoed :]

    def store(
        self, connection: Connection, key: str | None, source: str | None, body_sha256: str
    ) -> IngestSummary:
        """Merge the spooled rows and write the summary, in the caller's transaction.

        Raises:
            NotFound: the region was removed meanwhile.
            Conflict: a concurrent first upload placed the region elsewhere, or the region was changed.
        """
        summary = self.summary
        self._check_whole()
        self.times.check()
        writes.create_staging(connection)
        writes.stage(connection, self.rows, self.refused)
        transaction_lock(connection, INGEST_LOCK, self.region.key)
        self._place_region(connection)
        upload_id = writes.begin_upload(connection, self.region.key, key, source)
        merged = merge(connection, self.region.key, upload_id, self._rules())
        self._note_refused(merged.refused)
        follow_incidents(connection, self.region.key)
        if merged.added >= STATISTICS_FROM_ROWS:
            writes.refresh_statistics(connection)
        changes = merged.changes
        summary.corrected = changes.corrected + merged.twins.corrected
        summary.accepted = merged.added + summary.corrected
        summary.removed = merged.removed
        summary.conflicts = changes.conflicts
        summary.outdated = changes.outdated + changes.turned_back
        summary.duplicates = summary.received - summary.rejected - summary.accepted
        summary.rejected_by_code = dict(sorted(self.codes.items()))
        summary.upload_id = upload_id
        summary.read = self._read(merged)
        summary.warnings = [
            *self._warnings(),
            *merge_warnings(merged),
            *self._place_warnings(connection),
        ]
        report = {
            "repeated_rows": merged.repeated,
            "implausible_years": dict(sorted(self.implausible_years.items())),
            "far_rows": self.distances.n_far,
            "swapped_rows": self.distances.n_swapped + self.codes["looks_swapped"],
        }
        writes.end_upload(connection, upload_id, body_sha256, summary.without_stored(), report)
        audit.record(
            connection,
            "ingest",
            chain=self.region.id,
            upload=upload_id,
            received=summary.received,
            accepted=summary.accepted,
        )
        return summary

    def _rules(self) -> MergeRules:
        """Return how the merge treats rows that may be stored already."""
        guessed = self.identity.ids.taken_as()
        return MergeRules(
            max_categories=self.settings.max_categories,
            echoed=self.settings.max_errors_echoed,
            has_feeds=self.identity.has_feeds,
            guessed=None if guessed is None else guessed[0],
            replace_conflicts=self.choices.on_conflict == "replace",
            is_current=self.choices.is_current,
            near_duplicates=self.choices.near_duplicates,
            replace_feed=self.choices.replace == "feed",
            timezone=self.region.timezone,
        )

    def _check_whole(self) -> None:
        """Raise if a file that is to replace its feed was not read nearly as a whole.

        Raises:
            Conflict: what its rejected rows stand for would be removed.
        """
        n, received = self.summary.rejected, self.summary.received
        if self.choices.replace == "feed" and n > MOST_REJECTED * received:
            raise Conflict(
                f"{n:,} of {received:,} rows are rejected, and replace=feed would remove their "
                "incidents; see the rows with dry_run=true and without replace, and correct them first",
                field="replace",
                code="replace_incomplete",
                params={"rejected": n, "received": received},
            )

    def _read(self, merged: Merged) -> dict[str, Any] | None:
        """Return how the file was read; the tables after the first are `further` ones."""
        tables = self.readings.tables
        described = self.identity.ids.described([*tables.values()], merged.ids_code)
        described = self.times.described(described)
        self.readings.tables = dict(zip(tables, described, strict=True))
        return self.readings.to_json()

    def _place_region(self, connection: Connection) -> None:
        """Store the CRS chosen from a region's first incidents, if the region is as it was."""
        now = get_region_by_key(connection, self.region.key)
        if now.revision != self.region.revision:
            raise Conflict(
                "the region's time zone, boundary or CRS was changed while the file was read; nothing was "
                "stored: send it again",
                code="region_changed",
            )
        if self.region.crs is not None or self.crs is None:
            return
        if set_crs(connection, self.region.key, self.crs) != self.crs:
            raise Conflict(
                "a concurrent first upload placed the region in another UTM zone; send this one again",
                code="region_placed",
            )

    def _warnings(self) -> Iterator[Message]:
        swapped = self.codes["looks_swapped"] + self.distances.n_swapped
        if swapped:
            received = self.summary.received
            yield UPLOAD_WARNINGS.make("looks_swapped", n=swapped, received=received)
        if outside := self.codes["outside_study_area"]:
            yield UPLOAD_WARNINGS.make(
                "outside_study_area",
                n=outside,
                received=self.summary.received,
                near=str(self.witness.misplaced),
            )
        if far := self.distances.n_far:
            near = str(self.distances.first)
            yield UPLOAD_WARNINGS.make("far_away", n=far, degrees=MAX_EXTENT_DEG, near=near)
        yield from self.witness.warnings()
        yield from self.times.warnings([*self.readings.tables.values()])
        if self.personal:
            yield UPLOAD_WARNINGS.make("personal_columns", columns=shortened_names(self.personal))
        if unread := self.identity.unread_revisions:
            yield UPLOAD_WARNINGS.make("revisions_unread", n=unread)
        if self.n_open:
            yield UPLOAD_WARNINGS.make("open_ends", n=self.n_open)
        if not self.date_only and (dates := self.n_dates):
            yield UPLOAD_WARNINGS.make("dates_alone", n=dates)
        for reason in ("end_time", "count"):
            if columns := self.readings.left_aside(reason):
                yield UPLOAD_WARNINGS.make(f"{reason}_not_read", columns=shortened_names(columns))

    def _place_warnings(self, connection: Connection) -> Iterator[Message]:
        n_rows = self.summary.received - self.summary.rejected
        if n_rows and self.crs is not None:
            yield from place_warnings(connection, self.region, self.crs, n_rows)


def _ends(parsed: ParsedBlock) -> pa.Array:
    """Return the ends of intervals, null for instants."""
    if parsed.end_s is None:
        return pa.nulls(len(parsed.row), pa.int64())
    return pa.array(parsed.end_s, mask=parsed.end_s == parsed.time_s)


def _crs_of(parsed: ParsedBlock) -> str:
    return choose_crs(middle_longitude(parsed.longitude), float(np.median(parsed.latitude)))


def _digests(block: Block, rows: list[int]) -> Iterator[str]:
    """Yield 32 hex digits that identify the content of each of these rows."""
    for row in rows:
        text = repr([values[row] for values in block.columns.values()])
        yield hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def middle_of(connection: Connection, region: OutlinedRegion) -> tuple[float, float] | None:
    """Return roughly where a region lies, in degrees, or None if unknown."""
    if region.boundary is None:
        return writes.middle_of(connection, region.key)
    middle = middle_of_boundary(region.boundary)
    return middle.longitude, middle.latitude


def _given_area(region: OutlinedRegion) -> StudyArea | None:
    """Return the caller's boundary with a margin; a derived boundary must not reject later incidents."""
    if region.boundary is None or region.boundary_derived:
        return None
    return study_area_from_geojson(region.boundary, region.crs).grown(MARGIN_M)
