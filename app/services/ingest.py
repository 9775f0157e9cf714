"""Ingest: an upload becomes rows, exactly once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
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
from app.services.ingest_limits import check_rows
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
    gone: Callable[[], bool] = lambda: False,
) -> IngestSummary:
    """Store an upload's incidents in one transaction.

    Args:
        body: the raw bytes, in chunks of any size.
        progress: called with the number of raw bytes read so far.
        gone: returns whether nobody waits for the summary any more; asked once the body is read.

    Raises:
        NotFound: no such region.
        InvalidInput: unknown type, unreadable data, a reused key with another body.
        LimitExceeded: too many bytes.
        Conflict: another upload with the same key is under way.
        Unavailable: the database is away; nothing was stored.
    """
    with engine.begin() as connection:
        return ingest_within(
            connection, region_id, body, source, settings=settings, progress=progress, gone=gone
        )


def ingest_within(
    connection: Connection,
    region_id: str,
    body: Iterable[bytes],
    source: UploadSource,
    *,
    settings: Settings,
    progress: Callable[[int], None] = lambda _n_bytes: None,
    gone: Callable[[], bool] = lambda: False,
) -> IngestSummary:
    """`ingest` inside the caller's transaction, so that what it writes besides goes with the rows."""
    reader = READERS.get(source.content_type)
    if reader is None:
        raise InvalidInput(
            f"Content-Type {shortened(source.content_type)} is not one of {', '.join(READERS)}",
            code="unsupported_media_type",
        )
    digest = hashlib.sha256()
    sent = _Sent(progress)
    raw = sent.watched(body, digest.update)
    chunks = decoded(
        raw, source.content_encoding, settings.max_body_bytes, settings.max_gzip_expansion
    )
    region = outlined(connection, get_region(connection, region_id))
    replay = _replay(connection, region, source, raw, digest.hexdigest)
    if replay is not None:
        return replay
    upload = Upload(connection, region, source.idempotency_key, source.name, settings)
    with closing(reader(chunks, _options(settings, source.mapping, sent, gone))) as blocks:
        for block in blocks:
            require_room(settings)
            check_rows(
                upload.summary.received + block.n_rows, sent.n_bytes, settings.max_upload_rows
            )
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


class _Sent:
    """Counts the raw bytes of a body while they are read."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress = progress
        self.n_bytes = 0

    def watched(self, body: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
        """The body's chunks, each hashed and counted."""
        for chunk in body:
            update(chunk)
            self.n_bytes += len(chunk)
            self.progress(self.n_bytes)
            yield chunk


def _options(
    settings: Settings, mapping: ColumnMapping, sent: _Sent, gone: Callable[[], bool]
) -> ReadOptions:
    return ReadOptions(
        n_rows=settings.upload_chunk_rows,
        limit_chars=settings.max_field_chars,
        max_bytes=settings.max_body_bytes,
        max_expansion=settings.max_gzip_expansion,
        mapping=mapping,
        max_rows=settings.max_upload_rows,
        memory_bytes=settings.parser_memory_bytes,
        cpu_s=settings.parser_cpu_s,
        cpu_s_per_mib=settings.parser_cpu_s_per_mib,
        sent_bytes=lambda: sent.n_bytes,
        gone=gone,
    )


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
