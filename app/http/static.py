"""Serve `/static`: the page's files, compressed once and cached.

Starlette's static files are sent in chunks and therefore uncompressed: the map library alone would be
more than a megabyte.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.errors import NotFound
from app.http.content_negotiation import matches
from app.http.middleware.compression import compressed, encoding_of
from app.http.permissions import public

WEB = Path(__file__).resolve().parents[1] / "web"
MAX_CACHED = 128
_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".svg": "image/svg+xml"}
router = APIRouter(include_in_schema=False)


class StaticReplies:
    """Public replies that are the same for everyone, read and compressed once in another thread."""

    def __init__(self) -> None:
        self._cached: dict[tuple[Hashable, str | None], tuple[bytes, str]] = {}

    async def reply(
        self, request: Request, key: Hashable, read: Callable[[], bytes], media_type: str
    ) -> Response:
        """Reply with what `read` returns, in a coding that the client accepts, or with 304.

        Args:
            key: identifies the content; it changes with it.
        """
        encoding = encoding_of(request.headers.get("accept-encoding", ""), media_type)
        found = self._cached.get((key, encoding))
        if found is None:
            found = await run_in_threadpool(_encoded, read, encoding)
            if len(self._cached) >= MAX_CACHED:
                self._cached.clear()
            self._cached[key, encoding] = found
        body, etag = found
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        return Response(body, headers=headers, media_type=media_type)


def _encoded(read: Callable[[], bytes], encoding: str | None) -> tuple[bytes, str]:
    content = read()
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return (content if encoding is None else compressed(content, encoding)), etag


_replies = StaticReplies()


@lru_cache(maxsize=1)
def _files() -> dict[str, Path]:
    """List the page's files by their path below `/static/`; no others are served."""
    return {file.relative_to(WEB).as_posix(): file for file in WEB.rglob("*") if file.is_file()}


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"])
@public
async def static_file(request: Request, path: str) -> Response:
    """Serve one file of the page.

    Raises:
        NotFound: no such file in the page's folder.
    """
    file = _files().get(path)
    if file is None:
        raise NotFound(f"no such file: {path}", field="path")
    media_type = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "text/plain"
    key = (file, file.stat().st_mtime_ns)
    return await _replies.reply(request, key, file.read_bytes, media_type)
