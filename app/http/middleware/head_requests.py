"""Answer HEAD as GET without the body: caches and map clients check before they fetch."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.middleware.response_cache import is_forecast_path


class HeadRequests:
    """Let forecasts' routes answer HEAD as GET, and drop the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_ours = scope["type"] == "http" and scope["method"] == "HEAD"
        if not (is_ours and is_forecast_path(scope["path"])):
            await self.app(scope, receive, send)
            return

        async def bodiless(message: Message) -> None:
            # The server and the log must see the method that was sent.
            scope["method"] = "HEAD"
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        try:
            await self.app(scope, receive, bodiless)
        finally:
            scope["method"] = "HEAD"
