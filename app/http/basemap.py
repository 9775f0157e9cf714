"""Serve `/basemap`: byte ranges of the PMTiles file beneath the page's cells (`HOTSLOT_BASEMAP`)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.core.errors import InvalidInput, NotFound
from app.core.roles import Role
from app.http.app_state import State
from app.http.content_negotiation import matches
from app.http.permissions import allow
from app.http.problems import problem

MEDIA_TYPE = "application/vnd.pmtiles"
MAX_RANGE_BYTES = 8 << 20
"""Of one reply; tiles and directories are far smaller."""
_MAGIC = b"PMTiles\x03"
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")
router = APIRouter(include_in_schema=False)


def check_basemap(path: Path | None) -> None:
    """Raise unless there is no base map, or its file is a PMTiles archive of version 3.

    Raises:
        InvalidInput: the file is missing, cannot be read or is something else.
    """
    if path is None:
        return
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        raise InvalidInput(f"HOTSLOT_BASEMAP: {path} cannot be read: {error.strerror}") from error
    if begins != _MAGIC:
        raise InvalidInput(f"HOTSLOT_BASEMAP: {path} is not a PMTiles archive of version 3")


@router.get("/basemap")
@allow(*Role, confined=True)
def basemap(
    state: State,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Reply with one range of the file's bytes, cut off at its end and at `MAX_RANGE_BYTES`.

    Raises:
        NotFound: no base map is set, or its file is gone.
    """
    path = state.settings.basemap
    if path is None:
        raise NotFound("no base map is set (HOTSLOT_BASEMAP)")
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"the base map cannot be read: {error.strerror}") from error
    try:
        return _range_of(file, wanted, if_none_match)
    finally:
        os.close(file)


def _range_of(file: int, wanted: str | None, if_none_match: str | None) -> Response:
    about = os.fstat(file)
    etag = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-cache", "ETag": etag}
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    found = _RANGE.fullmatch(wanted or "")
    first, last = (int(part) for part in found.groups()) if found else (0, -1)
    last = min(last, about.st_size - 1, first + MAX_RANGE_BYTES - 1)
    if first > last:
        headers["Content-Range"] = f"bytes */{about.st_size}"
        detail = f"ask for one range of its {about.st_size} bytes, as Range: bytes=0-16383"
        return problem(416, detail, "bad_range", headers=headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{about.st_size}"
    content = os.pread(file, last - first + 1, first)
    return Response(content, 206, headers=headers, media_type=MEDIA_TYPE)
