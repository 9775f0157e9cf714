"""Ingest: an upload becomes rows, exactly once, all of it or nothing."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Engine

from app.config import Settings
from app.domain.columns import ColumnMapping
from app.domain.errors import Conflict, InvalidInput
from app.domain.incident_rules import MARGIN_M, RowErrors, dedup_keys, parse_block
from app.domain.personal import personal_warning
from app.domain.raw_columns import contract_columns
from app.domain.study_area import StudyArea, choose_crs, study_area_from_geojson, to_metres
from app.domain.windows import windows_of
from app.services.ingest_decoding import READ_BYTES, decoded
from app.services.ingest_formats import READERS, SUFFIX_TYPES
from app.services.ingest_readers import Block, ReadOptions
from app.storage import audit
from app.storage import incident_writes as writes
from app.storage.regions import Region, ensure_categories, get_region, set_crs

SWAPPED_WARNING_SHARE = 0.5


@dataclass
class IngestSummary:
    """What became of an upload; received = accepted + duplicates + rejected."""

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    corrected: int = 0
    rejected_by_code: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    upload_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As answered and as kept."""
        return asdict(self)


@dataclass(frozen=True)
class UploadSource:
    """What an upload says of itself."""

    content_type: str
    content_encoding: str | None = None
    idempotency_key: str | None = None
    name: str | None = None
    mapping: ColumnMapping = field(default_factory=ColumnMapping)


def ingest(
    engine: Engine,
    region_id: str,
    body: Iterable[bytes],
    source: UploadSource,
    *,
    settings: Settings,
    progress: Callable[[int], None] = lambda _n_bytes: None,
) -> IngestSummary:
    """Store an upload's incidents in one transaction.

    Args:
        body: the raw bytes, in chunks of any size.
        progress: called with the number of raw bytes read so far.

    Raises:
        NotFound: no such region.
        InvalidInput: unknown type, unreadable data, a reused key with another body.
        LimitExceeded: too many bytes.
        Conflict: another upload with the same key is under way.
        Unavailable: the database is away; nothing was stored.
    """
    with engine.begin() as connection:
        return ingest_within(
            connection, region_id, body, source, settings=settings, progress=progress
        )


def ingest_within(
    connection: Connection,
    region_id: str,
    body: Iterable[bytes],
    source: UploadSource,
    *,
    settings: Settings,
    progress: Callable[[int], None] = lambda _n_bytes: None,
) -> IngestSummary:
    """`ingest` inside the caller's transaction, so that what it writes besides goes with the rows."""
    reader = READERS.get(source.content_type)
    if reader is None:
        raise InvalidInput(
            f"Content-Type {source.content_type!r} is not one of {', '.join(READERS)}",
            code="unsupported_media_type",
        )
    digest = hashlib.sha256()
    raw = _watched(body, digest.update, progress)
    chunks = decoded(
        raw, source.content_encoding, settings.max_body_bytes, settings.max_gzip_expansion
    )
    region = get_region(connection, region_id)
    replay = _replay(connection, region, source, raw, digest.hexdigest)
    if replay is not None:
        return replay
    upload = _Upload(connection, region, source, settings)
    options = ReadOptions(
        settings.upload_chunk_rows,
        settings.max_field_chars,
        settings.max_body_bytes,
        settings.max_gzip_expansion,
        source.mapping,
    )
    for block in reader(chunks, options):
        upload.add(block)
    for _ in raw:
        """The hash covers the whole body, also what the reader left unread."""
    return upload.finish(digest.hexdigest())


def ingest_file(
    engine: Engine,
    region_id: str,
    path: Path,
    *,
    settings: Settings,
    mapping: ColumnMapping | None = None,
    progress: Callable[[int], None] = lambda _n_bytes: None,
) -> IngestSummary:
    """Store the incidents of a file, its type told by its name (`.csv`, `.json.gz`, ...).

    Raises:
        InvalidInput: the name tells no known type; see `ingest` for the rest.
    """
    suffixes = [s.lower() for s in path.suffixes]
    encoding = "gzip" if suffixes and suffixes[-1] == ".gz" else None
    suffix = suffixes[-2] if encoding and len(suffixes) > 1 else (suffixes or [""])[-1]
    content_type = SUFFIX_TYPES.get(suffix)
    if content_type is None:
        raise InvalidInput(f"{path.name}: not one of {', '.join(SUFFIX_TYPES)}", field="files")
    source = UploadSource(
        content_type, encoding, name=path.name, mapping=mapping or ColumnMapping()
    )
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(READ_BYTES), b"")
        return ingest(engine, region_id, chunks, source, settings=settings, progress=progress)


def _watched(
    body: Iterable[bytes], update: Callable[[bytes], None], progress: Callable[[int], None]
) -> Iterator[bytes]:
    total = 0
    for chunk in body:
        update(chunk)
        total += len(chunk)
        progress(total)
        yield chunk


def _replay(
    connection: Connection,
    region: Region,
    source: UploadSource,
    raw: Iterator[bytes],
    body_sha256: Callable[[], str],
) -> IngestSummary | None:
    """The stored answer, when this key was used before with the same body."""
    key = source.idempotency_key
    if key is None:
        return None
    if not 0 < len(key) <= 255 or not key.isprintable():
        raise InvalidInput("Idempotency-Key must be 1-255 printable characters", code="bad_key")
    if not writes.lock_idempotency_key(connection, region.key, key):
        raise Conflict("an upload with this Idempotency-Key is under way", code="key_in_use")
    stored = writes.find_upload(connection, region.key, key)
    if stored is None:
        return None
    for _ in raw:
        """Reading the body to its end gives its hash."""
    if stored.body_sha256 != body_sha256():
        raise InvalidInput(
            "this Idempotency-Key was used with another body", code="idempotency_key_reused"
        )
    return IngestSummary(**stored.summary)


class _Upload:
    """One upload under way: validates blocks, stages their rows, merges at the end."""

    def __init__(
        self, connection: Connection, region: Region, source: UploadSource, settings: Settings
    ) -> None:
        self.connection = connection
        self.region = region
        self.settings = settings
        self.summary = IngestSummary()
        self.codes: Counter[str] = Counter()
        self.categories: dict[str, int] = {}
        self.personal: tuple[str, ...] = ()
        self.crs = region.crs
        self.area = _given_area(region)
        self.upload_id = writes.begin_upload(
            connection, region.key, source.idempotency_key, source.name
        )
        writes.create_staging(connection)

    def add(self, block: Block) -> None:
        """Validate a block and stage its good rows."""
        self.personal = tuple(dict.fromkeys((*self.personal, *block.plan.personal)))
        errors = RowErrors(block.n_rows)
        for place, message in block.broken.items():
            errors.bad[place] = True
            errors.reasons[place] = ("", "unreadable_row", message)
        parsed = parse_block(
            contract_columns(block.columns, block.plan, self.region.timezone),
            block.n_rows,
            timezone=self.region.timezone,
            now_s=int(time.time()),
            area=self.area,
            errors=errors,
        )
        self._note(errors, block.n_rows)
        if len(parsed.row) == 0:
            return
        if self.crs is None:
            self.crs = choose_crs(
                float(np.median(parsed.longitude)), float(np.median(parsed.latitude))
            )
            set_crs(self.connection, self.region.key, self.crs)
        x_m, y_m = to_metres(parsed.longitude, parsed.latitude, self.crs)
        # Far from a region without a boundary the projection may have no answer.
        finite = np.isfinite(x_m) & np.isfinite(y_m)
        table = pa.table(
            {
                "row": parsed.row + self.summary.received - block.n_rows,
                "time_s": parsed.time_s,
                "longitude": parsed.longitude,
                "latitude": parsed.latitude,
                "x_m": x_m.astype(np.float32),
                "y_m": y_m.astype(np.float32),
                "window": windows_of(parsed.time_s, self.region.timezone),
                "category_key": self._category_keys(parsed.category),
                "external_id": pa.array(parsed.external_id, pa.string()),
                "source": pa.array(parsed.source, pa.string()),
                "dedup_key": pa.array(dedup_keys(parsed).astype(str), pa.string()),
            }
        )
        if not finite.all():
            self.codes["out_of_range"] += int((~finite).sum())
            self.summary.rejected += int((~finite).sum())
            table = table.filter(pa.array(finite))
        writes.stage(self.connection, table)

    def _note(self, errors: RowErrors, n_rows: int) -> None:
        summary = self.summary
        for place in sorted(errors.reasons):
            column, code, message = errors.reasons[place]
            self.codes[code] += 1
            if len(summary.errors) < self.settings.max_errors_echoed:
                row = summary.received + place + 1
                summary.errors.append(
                    {"row": row, "field": column, "code": code, "message": message}
                )
        summary.received += n_rows
        summary.rejected += len(errors.reasons)

    def _category_keys(self, names: Any) -> Any:
        distinct, inverse = np.unique(names.astype(str), return_inverse=True)
        if not set(distinct) <= set(self.categories):
            self.categories = ensure_categories(self.connection, self.region.key, distinct.tolist())
        keys = np.array([self.categories[name] for name in distinct], np.int32)
        return keys[inverse]

    def finish(self, body_sha256: str) -> IngestSummary:
        """Merge the staged rows and keep the summary, in the same transaction."""
        summary = self.summary
        added, corrected = writes.merge(self.connection, self.region.key, self.upload_id)
        summary.accepted = added + corrected
        summary.corrected = corrected
        summary.duplicates = summary.received - summary.rejected - summary.accepted
        summary.rejected_by_code = dict(sorted(self.codes.items()))
        summary.upload_id = self.upload_id
        if summary.received and self.codes["looks_swapped"] > (
            SWAPPED_WARNING_SHARE * summary.received
        ):
            summary.warnings.append("longitude and latitude look swapped in most rows")
        if self.codes["outside_study_area"]:
            summary.warnings.append(
                f"{self.codes['outside_study_area']} rows lie over 1 km outside the study area"
            )
        if self.personal:
            summary.warnings.append(personal_warning(self.personal))
        writes.end_upload(self.connection, self.upload_id, body_sha256, summary.to_json())
        audit.record(
            self.connection,
            "ingest",
            chain=self.region.id,
            upload=self.upload_id,
            body_sha256=body_sha256,
            received=summary.received,
            accepted=summary.accepted,
        )
        return summary


def _given_area(region: Region) -> StudyArea | None:
    """The caller's boundary with a margin; one derived from incidents must not refuse later ones."""
    if region.boundary is None or region.boundary_derived:
        return None
    return study_area_from_geojson(region.boundary, region.crs).grown(MARGIN_M)
