"""Send large replies in chunks, each when the one before is mostly read.

The server accepts a whole body and buffers what its client does not read, while the request counts as
finished: a client that reads nothing could accumulate gigabytes outside of all limits.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE_BYTES = 256 << 10
"""To be read within `protocol.UNREAD_S`; smaller chunks slow down replies of a whole city."""


class Chunking:
    """Send bodies in chunks, so that requests last until their replies are read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def piecewise(message: Message) -> None:
            body: bytes = message.get("body", b"")
            last = max(len(body) - 1, 0) // PIECE_BYTES * PIECE_BYTES
            if not last:
                await send(message)
                return
            view = memoryview(body)  # a file that a thousand clients read slowly is in memory once
            for start in range(0, last, PIECE_BYTES):
                piece = view[start : start + PIECE_BYTES]
                await send({"type": message["type"], "body": piece, "more_body": True})
            await send({**message, "body": view[last:]})

        await self.app(scope, receive, piecewise)
