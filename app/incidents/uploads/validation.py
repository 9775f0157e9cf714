"""One upload in progress: its blocks are validated and their rows spooled.

The database is not used while the body arrives: a slow client's open transaction would hold a connection
and block vacuum. `app.incidents.uploads.storing` stores the rows at the end.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from app.core.settings import Settings
from app.geo.antimeridian import middle_longitude
from app.geo.boundaries import study_area_from_geojson
from app.geo.hour_of_week import windows_of
from app.geo.study_area import StudyArea, choose_crs, to_metres
from app.geo.zone_places import Place
from app.incidents import writes
from app.incidents.merging.row_identity import RowIdentity
from app.incidents.parsing.counts import counts_of, expanded
from app.incidents.parsing.identity import whole_ids
from app.incidents.parsing.outliers import FarCheck
from app.incidents.parsing.place_witness import PlaceWitness
from app.incidents.parsing.row_errors import ROW_MESSAGES, RowErrors
from app.incidents.parsing.rules import MARGIN_M, ParsedBlock, parse_block
from app.incidents.parsing.spellings import Spellings
from app.incidents.parsing.upload_times import UploadTimes
from app.incidents.summary import IngestSummary, StoreChoices
from app.readers.blocks import Block
from app.readers.columns.fields import COUNT
from app.readers.columns.mapping import ColumnMapping
from app.readers.context import disk_checked
from app.readers.reading import Readings
from app.readers.times.refused import NO_END_TIME
from app.regions.places import middle_of_boundary
from app.regions.store import OutlinedRegion


class Upload:
    """Validate blocks, spool their rows, and count what is to be said about them.

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

    @property
    def n_swapped(self) -> int:
        """How many rows look as if longitude and latitude were exchanged."""
        return self.codes["looks_swapped"] + self.distances.n_swapped

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
