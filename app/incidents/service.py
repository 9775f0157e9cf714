"""Ingest uploads, exactly once and all or nothing."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import IO

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.devserver.server import require_room
from app.core.errors import Conflict, InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.incidents import writes
from app.incidents.parsing.spellings import Spellings
from app.incidents.summary import IngestSummary, StoreChoices
from app.incidents.uploads.idempotency import checked_key, earlier, reserved, stored_before
from app.incidents.uploads.storing import merge_upload
from app.incidents.uploads.validation import Upload, middle_of
from app.readers.blocks import Blocks, ReadOptions
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.decoding import READ_BYTES, decoded
from app.readers.formats import READERS, SUFFIX_TYPES
from app.readers.limits import check_rows
from app.regions.store import Region, get_region, outlined

IN_MEMORY_BYTES = 1 << 20
"""Rows of a small upload are spooled in memory, of a larger one in an unnamed file."""


@dataclass(frozen=True)
class UploadSource:
    """The declared properties of an upload."""

    content_type: str
    content_encoding: str | None = None
    idempotency_key: str | None = None
    name: str | None = None
    mapping: ColumnMapping = field(default_factory=ColumnMapping)
    choices: StoreChoices = field(default_factory=StoreChoices)


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
        gone: returns whether the client has gone; checked once the body is read.

    Raises:
        NotFound: no such region.
        InvalidInput: unknown type, unreadable data, a reused key with another body.
        LimitExceeded: too many bytes.
        Conflict: another upload with the same key is in progress.
        Unavailable: the database is unavailable; nothing was stored.
    """
    body_read = received(
        engine, region_id, body, source, settings=settings, progress=progress, gone=gone
    )
    with body_read as upload:
        try:
            with engine.connect() as connection, connection.begin() as transaction:
                summary = upload.store(connection)
                if not source.choices.dry_run:
                    return summary
                transaction.rollback()
        except Conflict:
            _record_attempt(engine, upload)
            raise
        _record_attempt(engine, upload)
        return replace(summary, dry_run=True, upload_id=None)


def _record_attempt(engine: Engine, upload: Received) -> None:
    """Leave a trace of who only asked: the answer says whether incidents are stored."""
    n_rows = 0 if upload.upload is None else upload.upload.summary.received
    with engine.begin() as connection:
        audit.record(connection, "ingest.tried", chain=upload.region.id, received=n_rows)


@dataclass(frozen=True)
class Received:
    """A completely received and validated body that is not stored yet.

    Args:
        upload: its rows; None if its key was used before, so that nothing needs storing.
    """

    region: Region
    source: UploadSource
    body_sha256: str
    upload: Upload | None

    def store(self, connection: Connection) -> IngestSummary:
        """Store the rows in the caller's transaction, or return the key's earlier summary.

        Raises:
            InvalidInput, Conflict: see `ingest`.
        """
        key = self.source.idempotency_key
        if key is not None:
            summary = stored_before(connection, self.region, key, self.body_sha256)
            if summary is not None:
                return summary
        if self.upload is None:
            raise Conflict("the upload with this Idempotency-Key is missing: send it again")
        return merge_upload(connection, self.upload, key, self.source.name, self.body_sha256)


@contextmanager
def received(
    engine: Engine,
    region_id: str,
    body: Iterable[bytes],
    source: UploadSource,
    *,
    settings: Settings,
    progress: Callable[[int], None] = lambda _n_bytes: None,
    gone: Callable[[], bool] = lambda: False,
) -> Iterator[Received]:
    """Read and validate a body without holding a database connection; see `ingest`."""
    reader = READERS.get(source.content_type)
    if reader is None:
        raise InvalidInput(
            f"Content-Type {shortened(source.content_type)} is not one of {', '.join(READERS)}",
            code="unsupported_media_type",
        )
    key = checked_key(source.idempotency_key)
    with engine.connect() as connection:
        region = outlined(connection, get_region(connection, region_id))
        known = None if key is None else earlier(connection, region, key)
        middle = middle_of(connection, region)
        spelt = writes.spellings_of(connection, region.key)
    digest = hashlib.sha256()
    sent = _Sent(progress)
    raw = sent.watched(body, digest.update)
    with (
        reserved(engine, region, key),
        tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as rows,
        tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as refused,
    ):
        spellings = Spellings(spelt, settings.max_categories)
        upload = Upload(
            region, middle, rows, refused, settings, spellings, source.mapping, source.choices
        )
        if known is None:
            chunks = decoded(
                raw, source.content_encoding, settings.max_body_bytes, settings.max_gzip_expansion
            )
            blocks = reader(chunks, _options(settings, source.mapping, sent, gone))
            _judge(upload, blocks, sent, settings)
        for _ in raw:
            """The hash also covers what the reader left unread."""
        yield Received(region, source, digest.hexdigest(), upload if known is None else None)


def _judge(upload: Upload, blocks: Blocks, sent: _Sent, settings: Settings) -> None:
    with closing(blocks):
        for block in blocks:
            require_room(settings)
            n_rows = upload.summary.received + block.n_rows
            check_rows(n_rows, sent.n_bytes, settings.max_upload_rows)
            upload.add(block)


def ingest_file(
    engine: Engine,
    region_id: str,
    path: Path,
    *,
    settings: Settings,
    mapping: ColumnMapping | None = None,
    choices: StoreChoices | None = None,
    progress: Callable[[int], None] = lambda _n_bytes: None,
) -> IngestSummary:
    """Store the incidents of a file; its name gives its type (`.csv`, `.json.gz`, ...).

    Raises:
        InvalidInput: the file type is unknown; see `ingest` for other errors.
    """
    with path.open("rb") as file:
        return ingest_stream(
            engine,
            region_id,
            file,
            path.name,
            settings=settings,
            mapping=mapping,
            choices=choices,
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
    choices: StoreChoices | None = None,
    progress: Callable[[int], None] = lambda _n_bytes: None,
) -> IngestSummary:
    """Store the incidents of an open file, read once from start to end; its name gives its type.

    Raises:
        InvalidInput: the file type is unknown; see `ingest` for other errors.
    """
    suffixes = [s.lower() for s in PurePath(name).suffixes]
    encoding = "gzip" if suffixes and suffixes[-1] == ".gz" else None
    suffix = suffixes[-2] if encoding and len(suffixes) > 1 else (suffixes or [""])[-1]
    content_type = SUFFIX_TYPES.get(suffix)
    if content_type is None:
        raise InvalidInput(
            f"unknown file type of {shortened(name)}; use one of {', '.join(SUFFIX_TYPES)}",
            field="files",
        )
    source = UploadSource(
        content_type,
        encoding,
        name=name,
        mapping=mapping or ColumnMapping(),
        choices=choices or StoreChoices(),
    )
    chunks = iter(lambda: file.read(READ_BYTES), b"")
    return ingest(engine, region_id, chunks, source, settings=settings, progress=progress)


class _Sent:
    """Count the raw bytes of a body while they are read."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress = progress
        self.n_bytes = 0

    def watched(self, body: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
        """Yield the body's chunks, hashing and counting each."""
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
