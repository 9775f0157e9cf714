"""A file at a URL, read again only when its ETag, date or content has changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

import httpx

from app.core.errors import SourceFailed
from app.core.messages import Message
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.decoding import READ_BYTES
from app.readers.formats import READERS, SUFFIX_TYPES
from app.runs.words import RUN_MESSAGES
from app.sync.connectors.pages import Page, State
from app.sync.connectors.portal import Downloaded, PortalClient
from app.sync.spec import SourceSpec

GZIP_MAGIC = b"\x1f\x8b"


def file_pages(portal: PortalClient, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield the file at the source's URL as one page."""
    yield from file_pages_at(portal, spec, spec.url, state)


def file_pages_at(portal: PortalClient, spec: SourceSpec, url: str, state: State) -> Iterator[Page]:
    """Yield the file at a URL as one page; `state` holds `etag`, `last_modified`, `sha256`.

    Raises:
        SourceFailed: it does not exist.
    """
    with tempfile.TemporaryFile() as file:
        download = portal.download(url, file, conditions(state), portal.settings.max_body_bytes)
        if not download.found:
            raise SourceFailed("the file does not exist (404)")
        if download.unchanged or download.sha256 == state.get("sha256"):
            yield Page(
                state | known(download), share=1.0, message=RUN_MESSAGES.make("source_unchanged")
            )
            return
        content_type = content_type_of(url, download.content_type)
        said = RUN_MESSAGES.make("source_file_read")
        yield file_page(file, known(download), content_type, spec.mapping, said)


def file_page(
    file: IO[bytes],
    state: State,
    content_type: str,
    mapping: ColumnMapping,
    message: Message,
    *,
    share: float = 1.0,
    name: str = "",
) -> Page:
    """Return an open file as one page; whether it is compressed is seen from its first bytes."""
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return Page(
        state,
        iter(lambda: file.read(READ_BYTES), b""),
        content_type,
        mapping,
        share=share,
        message=message,
        content_encoding="gzip" if magic == GZIP_MAGIC else None,
        name=name,
    )


def conditions(state: State) -> dict[str, str]:
    """Return headers that avoid sending an unchanged file again."""
    found = {}
    if state.get("etag"):
        found["If-None-Match"] = str(state["etag"])
    if state.get("last_modified"):
        found["If-Modified-Since"] = str(state["last_modified"])
    return found


def known(download: Downloaded) -> State:
    """Return the parts of a response that the cursor stores."""
    parts = {name: getattr(download, name) for name in ("etag", "last_modified", "sha256")}
    return {name: value for name, value in parts.items() if value is not None}


def content_type_of(url: str, declared: str | None) -> str:
    """Choose the type by the path's suffix, else the server's header, else CSV."""
    found = type_of_name(httpx.URL(url).path)
    return found or (declared if declared in READERS else None) or "text/csv"


def type_of_name(name: str) -> str | None:
    """Return the type that a name's suffix stands for, also before `.gz`."""
    suffixes = [s.lower() for s in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return SUFFIX_TYPES.get(suffixes[-1]) if suffixes else None
