"""End event streams when the caller may no longer see them, or when the service stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import HotslotError

CHECK_EVERY_S = 0.5
LAST_S = 1.0
"""Time for a client that reads nothing to take the end of its stream."""
STOPPING = "stopping"
"""Set in a request's state by `protocol.py` when the service stops."""
_log = logging.getLogger("hotslot.access")


class EventStream:
    """Run a request as long as a check of its caller passes, then end its reply normally.

    Args:
        check: raises when the caller may no longer see what is sent.
    """

    def __init__(self, app: ASGIApp, check: Callable[[], Awaitable[None]]) -> None:
        self.app = app
        self.check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = complete = False

        async def watched(message: Message) -> None:
            nonlocal started, complete
            started = True
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        work = asyncio.ensure_future(self.app(scope, receive, watched))
        end = asyncio.create_task(self._end(scope))
        try:
            await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
            while not started and not work.done():  # the first event is on its way
                await asyncio.wait({work}, timeout=0.05)
            if work.done():
                work.result()
                return
            work.cancel()
            await asyncio.wait({work})
            if not complete:
                last: Message = {"type": "http.response.body", "body": b"", "more_body": False}
                await asyncio.wait_for(send(last), LAST_S)
        except TimeoutError:
            _log.debug("end of event stream not read")
        finally:
            work.cancel()
            end.cancel()

    async def _end(self, scope: Scope) -> None:
        """Return when the reply has to end."""
        while not scope["state"].get(STOPPING):
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self.check()
            except HotslotError as refusal:
                _log.info("event stream ended", extra={"reason": refusal.message})
                return
