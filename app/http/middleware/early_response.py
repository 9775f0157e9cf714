"""Close the connection after a reply that came before the end of a long body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.middleware.body_limits import BODILESS, declared_bytes, has_unknown_length

SHORT_BYTES = 1 << 20
"""The rest of a body of up to this size is read and discarded: the connection stays open."""


class EarlyResponse:
    """Close the connection after a reply that came before the end of a long or endless body.

    The server would otherwise read on for as long as the client sends (drill I6).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] in BODILESS or not _is_long(scope):
            await self.app(scope, receive, send)
            return
        ended = False

        async def noted() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or not message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self.app(scope, noted, closing)


def _is_long(scope: Scope) -> bool:
    """Return whether a body is declared larger than `SHORT_BYTES`, or has no declared size."""
    return has_unknown_length(scope) or declared_bytes(scope) > SHORT_BYTES
