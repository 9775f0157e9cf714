"""`/static`: the page's files, compressed once and kept.

Starlette's own static files go out in pieces and so uncompressed: the map library alone would be more
than a megabyte.
"""

from __future__ import annotations

import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.api.compression import COMPRESS_FROM_BYTES, compressed, encoding_of
from app.api.replies import matches
from app.api.rules import public
from app.domain.errors import NotFound

WEB = Path(__file__).resolve().parents[1] / "web"
MAX_KEPT_FILES = 128
_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".svg": "image/svg+xml"}
router = APIRouter(include_in_schema=False)


@lru_cache(maxsize=1)
def _files() -> dict[str, Path]:
    """The page's files by their path below `/static/`: nothing else can be asked for."""
    return {file.relative_to(WEB).as_posix(): file for file in WEB.rglob("*") if file.is_file()}


@lru_cache(maxsize=MAX_KEPT_FILES)
def _body(path: Path, modified_ns: int, encoding: str | None) -> tuple[bytes, str]:
    """A file's bytes in a content coding, and their ETag; a changed file is read anew."""
    content = path.read_bytes()
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return (content if encoding is None else compressed(content, encoding)), etag


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"])
@public
def static_file(request: Request, path: str) -> Response:
    """One file of the page.

    Raises:
        NotFound: there is no such file below the page's folder.
    """
    file = _files().get(path)
    if file is None:
        raise NotFound(f"no such file: {path}", field="path")
    media_type = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "text/plain"
    encoding = encoding_of(request.headers.get("accept-encoding", ""), media_type)
    if file.stat().st_size < COMPRESS_FROM_BYTES:
        encoding = None
    body, etag = _body(file, file.stat().st_mtime_ns, encoding)
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
