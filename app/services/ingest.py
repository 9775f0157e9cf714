"""Ingest: an upload becomes rows, exactly once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO

from sqlalchemy import Connection, Engine

from app.config import Settings
from app.domain.columns import ColumnMapping
from app.domain.errors import Conflict, InvalidInput
from app.domain.texts import shortened
from app.services.ingest_decoding import READ_BYTES, decoded
from app.services.ingest_formats import READERS, SUFFIX_TYPES
from app.services.ingest_readers import ReadOptions
from app.services.ingest_upload import IngestSummary, Upload
from app.storage import incident_writes as writes
from app.storage.disk import require_room
from app.storage.erased_uploads import is_erased_key
from app.storage.regions import Region, get_region, outlined


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
            f"Content-Type {shortened(source.content_type)} is not one of {', '.join(READERS)}",
            code="unsupported_media_type",
        )
    digest = hashlib.sha256()
    raw = _watched(body, digest.update, progress)
    chunks = decoded(
        raw, source.content_encoding, settings.max_body_bytes, settings.max_gzip_expansion
    )
    region = outlined(connection, get_region(connection, region_id))
    replay = _replay(connection, region, source, raw, digest.hexdigest)
    if replay is not None:
        return replay
    upload = Upload(connection, region, source.idempotency_key, source.name, settings)
    options = ReadOptions(
        settings.upload_chunk_rows,
        settings.max_field_chars,
        settings.max_body_bytes,
        settings.max_gzip_expansion,
        source.mapping,
    )
    for block in reader(chunks, options):
        require_room(settings)
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
    with path.open("rb") as file:
        return ingest_stream(
            engine,
            region_id,
            file,
            path.name,
            settings=settings,
            mapping=mapping,
            progress=progress,
        )


def ingest_stream(
    engine: Engine,
    region_id: str,
    file: IO[bytes],
    name: str,
    *,
    settings: Settings,
    mapping: ColumnMapping | None = None,
    progress: Callable[[int], None] = lambda _n_bytes: None,
) -> IngestSummary:
    """Store the incidents of an open file, which is read once from its beginning to its end.

    Raises:
        InvalidInput: the name tells no known type; see `ingest` for the rest.
    """
    suffixes = [s.lower() for s in PurePath(name).suffixes]
    encoding = "gzip" if suffixes and suffixes[-1] == ".gz" else None
    suffix = suffixes[-2] if encoding and len(suffixes) > 1 else (suffixes or [""])[-1]
    content_type = SUFFIX_TYPES.get(suffix)
    if content_type is None:
        raise InvalidInput(
            f"{shortened(name)}: not one of {', '.join(SUFFIX_TYPES)}", field="files"
        )
    source = UploadSource(content_type, encoding, name=name, mapping=mapping or ColumnMapping())
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
    if stored is None and is_erased_key(connection, region.key, key):
        raise Conflict(
            "what was sent with this Idempotency-Key is erased; to store it again, send another key",
            code="erased",
        )
    if stored is None:
        return None
    for _ in raw:
        """Reading the body to its end gives its hash."""
    if stored.body_sha256 != body_sha256():
        raise InvalidInput(
            "this Idempotency-Key was used with another body", code="idempotency_key_reused"
        )
    return IngestSummary(**stored.summary)
