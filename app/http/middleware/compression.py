"""Content codings: brotli where the client takes it, else gzip.

Forecasts keep their compressed bytes in the cache (`responses.py`); this middleware does the rest, and
only for replies that come in one piece: streams must not be held back.
"""

from __future__ import annotations

import gzip

import brotli
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COMPRESS_FROM_BYTES = 1024
LARGE_FROM_BYTES = 256 << 10
"""Above, a third of the time for a twelfth more bytes, a week of cells (22 MB) measured."""
BROTLI_QUALITY, BROTLI_QUALITY_LARGE = 4, 2
GZIP_LEVEL, GZIP_LEVEL_LARGE = 5, 1
COMPRESSED_ALREADY = ("image/png", "image/tiff", "application/vnd.apache.parquet")


def encoding_of(accept_encoding: str, media_type: str) -> str | None:
    """`br`, `gzip` or None, the best that the client takes.

    >>> encoding_of("gzip, deflate, br;q=0", "application/json")
    'gzip'
    """
    if media_type.startswith(COMPRESSED_ALREADY):
        return None
    offered = {
        name.strip().lower()
        for name, _, weight in (part.partition(";") for part in accept_encoding.split(","))
        if weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    }
    return next((name for name in ("br", "gzip") if name in offered), None)


def compressed(body: bytes, encoding: str) -> bytes:
    """A body in a content coding; equal bodies give equal bytes."""
    large = len(body) >= LARGE_FROM_BYTES
    if encoding == "br":
        quality = BROTLI_QUALITY_LARGE if large else BROTLI_QUALITY
        return bytes(brotli.compress(body, quality=quality))
    return gzip.compress(body, GZIP_LEVEL_LARGE if large else GZIP_LEVEL, mtime=0)


class Compressed:
    """Compresses replies of one piece that are not compressed yet."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        wanted = None
        if scope["type"] == "http":
            wanted = encoding_of(Headers(scope=scope).get("accept-encoding", ""), "")
        if wanted is None:
            await self.app(scope, receive, send)
            return
        coding, begun = wanted, False
        held: Message | None = None

        async def encoding(message: Message) -> None:
            nonlocal held, begun
            if message["type"] == "http.response.start":
                held = message
                return
            if held is not None and not begun:
                begun = True
                message = await _encoded(held, message, coding)
                await send(held)
            await send(message)

        await self.app(scope, receive, encoding)


async def _encoded(start: Message, body: Message, wanted: str) -> Message:
    """The body message to send; the start message's headers are set to match."""
    content: bytes = body.get("body", b"")
    headers = MutableHeaders(raw=list(start["headers"]))
    kind = headers.get("content-type", "")
    if (
        body.get("more_body")
        or len(content) < COMPRESS_FROM_BYTES
        or "content-encoding" in headers
        or kind.startswith(COMPRESSED_ALREADY)
    ):
        return body
    if len(content) >= LARGE_FROM_BYTES:  # a hundred thousand scores would hold up all others
        small = await run_in_threadpool(compressed, content, wanted)
    else:
        small = compressed(content, wanted)
    headers["Content-Encoding"] = wanted
    headers["Content-Length"] = str(len(small))
    headers.add_vary_header("Accept-Encoding")
    start["headers"] = headers.raw
    return {**body, "body": small}
