"""Monthly police archives: a zip of `YYYY-MM/YYYY-MM-FORCE-street.csv`, dated by month alone.

A month gives no hour, so these rows are rejected unless the source sets `month_times=spread`: then each
gets a minute of its month from a hash of its content. That favours no hour of the week, is reproducible,
and is meaningless: only places and monthly volumes can be learnt from it.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from app.core.errors import SourceFailed
from app.core.texts import shortened
from app.readers.blocks import MAX_ROW_CHARS
from app.readers.columns.mapping import ColumnMapping
from app.readers.context import chunks_of
from app.readers.files.decoding import lines_of, text_of
from app.runs.words import RUN_MESSAGES
from app.sync.connectors.files import conditions, known
from app.sync.connectors.pages import Page, State
from app.sync.connectors.portal import PortalClient
from app.sync.spec import MONTH, SourceSpec

MAX_EXPANSION = 100
_MEMBER = re.compile(r"(?:.*/)?(\d{4}-(?:0[1-9]|1[0-2]))-([a-z0-9-]+)-street\.csv")
COLUMNS = ("Crime ID", "Month", "Longitude", "Latitude", "Crime type")
FIELDS = ("occurred_at", "longitude", "latitude", "category", "external_id")
BATCH_ROWS = 5_000


def archive_pages(portal: PortalClient, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield a page per month; `state` holds the last `month` stored and the file's `known` headers.

    With `{month}` in the URL each month is a file of its own, requested until one does not exist yet; the
    months of the overlap are read again.
    """
    if MONTH not in spec.url:
        yield from _archive(portal, spec, spec.url, state, state.get("month"))
        return
    done = state.get("month")
    month = _shifted(done, 1 - _overlap(spec)) if done else str(spec.first_month)
    while month <= f"{datetime.now(UTC):%Y-%m}":
        found = False
        for page in _archive(portal, spec, spec.url.replace(MONTH, month), {}, None, only=month):
            newest = max(month, done or "")
            yield Page({"month": newest}, page.body, mapping=page.mapping, message=page.message)
            found = True
        if not found and done is not None and month > done:
            return
        month = _shifted(month, 1)


def _archive(
    portal: PortalClient,
    spec: SourceSpec,
    url: str,
    state: State,
    done: str | None,
    *,
    only: str | None = None,
) -> Iterator[Page]:
    with tempfile.TemporaryFile() as file:
        limit = portal.settings.sync_max_archive_bytes
        download = portal.download(url, file, conditions(state.get("known", {})), limit)
        if download.unchanged:
            yield Page(state, share=1.0, message=RUN_MESSAGES.make("source_unchanged"))
            return
        if not download.found:
            if only is None:
                raise SourceFailed("the archive does not exist (404)")
            return
        try:
            with zipfile.ZipFile(file) as archive:
                yield from _months(archive, spec, done, only, known(download))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise SourceFailed(f"not a readable zip archive: {error}") from error


def _months(
    archive: zipfile.ZipFile,
    spec: SourceSpec,
    done: str | None,
    only: str | None,
    known_file: State,
) -> Iterator[Page]:
    members = sorted(
        (match[1], info)
        for info in archive.infolist()
        if (match := _MEMBER.fullmatch(info.filename)) and match[2] == spec.dataset
    )
    if not members:
        raise SourceFailed(f"the archive has no month of the force {shortened(spec.dataset)}")
    first = _shifted(done, 1 - _overlap(spec)) if done else ""
    wanted = [m for m in members if m[0] >= first and (only is None or m[0] == only)]
    for place, (month, info) in enumerate(wanted, 1):
        if info.file_size > MAX_EXPANSION * max(info.compress_size, 1):
            raise SourceFailed(f"{info.filename} expands implausibly", code="too_large")
        state: dict[str, Any] = {"month": max(month, done or "")}
        if place == len(wanted):
            state["known"] = known_file
        yield Page(
            state,
            _rows(archive, info, month),
            mapping=ColumnMapping({name: name for name in FIELDS}),
            share=place / len(wanted),
            message=RUN_MESSAGES.make("source_month", month=month),
        )


def _rows(archive: zipfile.ZipFile, info: zipfile.ZipInfo, month: str) -> Iterator[bytes]:
    seen: Counter[tuple[str, ...]] = Counter()
    with archive.open(info) as member:
        rows = csv.DictReader(lines_of(text_of(chunks_of(member)), MAX_ROW_CHARS))
        missing = set(COLUMNS) - set(rows.fieldnames or ())
        if missing:
            raise SourceFailed(f"{info.filename} has no column {', '.join(sorted(missing))}")
        batch: list[bytes] = []
        for row in rows:
            batch.append(orjson.dumps(_row(row, month, seen)) + b"\n")
            if len(batch) >= BATCH_ROWS:
                yield b"".join(batch)
                batch = []
        yield b"".join(batch)


def _row(row: dict[str, Any], month: str, seen: Counter[tuple[str, ...]]) -> dict[str, Any]:
    content = (row["Longitude"] or "", row["Latitude"] or "", row["Crime type"] or "")
    key = row["Crime ID"] or ""
    if not key:
        seen[content] += 1
        key = "\x00".join((*content, str(seen[content])))
    return {
        "occurred_at": spread_time(month, key) if row["Month"] == month else row["Month"],
        "longitude": row["Longitude"],
        "latitude": row["Latitude"],
        "category": row["Crime type"],
        "external_id": row["Crime ID"] or None,
    }


def spread_time(month: str, key: str) -> str:
    """Draw a minute of a month, local time, by a hash of `key`."""
    start = datetime.fromisoformat(f"{month}-01")
    end = datetime.fromisoformat(f"{_shifted(month, 1)}-01")
    minutes = (end - start) // timedelta(minutes=1)
    draw = int.from_bytes(hashlib.blake2b(f"{month}\x00{key}".encode(), digest_size=8).digest())
    return (start + timedelta(minutes=draw % minutes)).strftime("%Y-%m-%dT%H:%M")


def _overlap(spec: SourceSpec) -> int:
    """Return the number of months to read again: the overlap's days, rounded up."""
    return -int(-spec.overlap_days // 31)


def _shifted(month: str, by: int) -> str:
    count = int(month[:4]) * 12 + int(month[5:7]) - 1 + by
    return f"{count // 12:04d}-{count % 12 + 1:02d}"
