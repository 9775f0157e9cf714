"""Compute replies in turns, so that one caller's heavy requests do not take all threads.

It stands inside the response cache and the body limits: cached replies need no turn, and a body is read
before its request waits. A turn ends when the reply starts, however slowly it is then read; the turn of
an upload ends with the upload.
"""

from __future__ import annotations

import math

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.db.deadlines import answered_within, remaining_s
from app.core.errors import HotslotError
from app.http.fair_shares import Turns
from app.http.middleware.body_limits import BODILESS, declared_bytes, has_unknown_length
from app.http.problems import problem_of

QUICK_BODY_BYTES = 64 << 10
LONG_FACTOR = 10
"""Factor by which a request with a larger body may wait longer for the database."""


class FairQueue:
    """Wait for a turn, then limit how long the request waits for the database."""

    def __init__(self, app: ASGIApp, database_timeout_s: float) -> None:
        self.app = app
        self.database_timeout_s = database_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        state = scope.get("state", {})
        turns: Turns | None = state.get("turns")
        if turns is None:
            await self.app(scope, receive, send)
            return
        uploads = bool(state.get("streams_body"))
        holder: str = state["caller"].actor
        with answered_within(self._patience_s(scope)):
            try:
                await turns.wait(holder, min(remaining_s(), self.database_timeout_s))
            except HotslotError as refusal:
                await problem_of(refusal)(scope, receive, send)
                return
            has_turn = True

            async def ending(message: Message) -> None:
                nonlocal has_turn
                if has_turn and not uploads:
                    has_turn = False
                    turns.give_back(holder)
                await send(message)

            try:
                with answered_within(math.inf if uploads else remaining_s()):
                    await self.app(scope, receive, ending)
            finally:
                if has_turn:
                    turns.give_back(holder)

    def _patience_s(self, scope: Scope) -> float:
        """Return what is left of the request's time; it starts again after a body."""
        if scope["method"] in BODILESS:
            return remaining_s()
        long = declared_bytes(scope) > QUICK_BODY_BYTES or has_unknown_length(scope)
        return self.database_timeout_s * (LONG_FACTOR if long else 1)
