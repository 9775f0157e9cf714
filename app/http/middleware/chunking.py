"""Large replies go out in pieces, each when the one before is mostly read.

The server takes a body whole and keeps what its client does not read, while the request counts as
done: a reader that reads nothing could pile up gigabytes that no limit knows of.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE_BYTES = 256 << 10
"""To be read within `protocol.UNREAD_S`; smaller ones slow down replies of a whole city."""


class InPieces:
    """Sends bodies in pieces, so that requests last as long as their replies are being read."""

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
            view = memoryview(body)  # of a file that a thousand read slowly, there is one in memory
            for start in range(0, last, PIECE_BYTES):
                piece = view[start : start + PIECE_BYTES]
                await send({"type": message["type"], "body": piece, "more_body": True})
            await send({**message, "body": view[last:]})

        await self.app(scope, receive, piecewise)
