"""Read bodies while they arrive, within limits of pace, in threads of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.from_thread
from fastapi import Request

from app.core.errors import InvalidInput, Unavailable
from app.core.settings import Settings
from app.http.app_state import ApiState

T = TypeVar("T")


class BodyStream:
    """Iterate over a request's chunks from a thread."""

    def __init__(self, request: Request, settings: Settings) -> None:
        self.request = request
        self.chunks: AsyncIterator[bytes] = request.stream()
        self.idle_timeout_s = settings.body_idle_timeout_s
        self.min_bytes_per_s = settings.body_min_bytes_per_s
        self._waited_s = 0.0
        self._n_bytes = 0

    async def _next(self) -> bytes | None:
        started = time.monotonic()
        try:
            chunk = await asyncio.wait_for(anext(self.chunks, None), self.idle_timeout_s)
        except TimeoutError as error:
            raise InvalidInput(
                f"no bytes of the upload arrived for {self.idle_timeout_s:g} s; send it again",
                code="timeout",
            ) from error
        self._waited_s += time.monotonic() - started
        self._n_bytes += len(chunk or b"")
        due = self.min_bytes_per_s * (self._waited_s - self.idle_timeout_s)
        if chunk is not None and self._n_bytes < due:
            # At one byte a second it would hold a database connection for ever.
            raise InvalidInput(
                f"the upload is slower than {self.min_bytes_per_s:g} bytes a second", code="timeout"
            )
        return chunk

    def gone(self) -> bool:
        """Return whether the client has disconnected; call it after the body is read."""
        return anyio.from_thread.run(self.request.is_disconnected)

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := anyio.from_thread.run(self._next)) is not None:
            if chunk:
                yield chunk


@asynccontextmanager
async def _place(state: ApiState) -> AsyncIterator[None]:
    """Wait for one of the places for uploads, as long as for a database connection."""
    try:
        with anyio.fail_after(state.settings.database_timeout_s):
            await state.uploads.acquire()
    except TimeoutError as error:
        raise Unavailable("too many uploads at once", code="overloaded") from error
    try:
        yield
    finally:
        state.uploads.release()


async def beside_others(state: ApiState, work: Callable[[], T]) -> T:
    """Run work that reads a body in one of the places for uploads and a separate thread.

    Waiting for a slow client takes no thread from other requests.
    """
    async with _place(state):
        return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
