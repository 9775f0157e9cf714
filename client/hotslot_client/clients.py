"""The two clients."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Self, TypeVar

import httpx

from hotslot_client.data_calls import DataCalls
from hotslot_client.forecast_calls import ForecastCalls
from hotslot_client.steps import Steps, Wait

R = TypeVar("R")
LOCAL = "http://127.0.0.1:8000"


class Client(ForecastCalls, DataCalls):
    """Connection to one service.

    The metadata of a reply (model version, cutoff, warnings, ...) is in the frame's `attrs`.
    Forecasts take the selectors of the API: `at`, `window`, `from_` with `to`, `category`,
    `model`, `as_of`, `state`, `bbox`, `cell_size_m`, `grid`, `resolution`.

    Every call may raise `ClientError`; the package's documentation lists its subclasses. Calls documented
    as returning `Steps[X]` return X.

    Args:
        base_url: URL of the service, with its prefix if it has one.
        api_key: key to send as `X-API-Key`.
        timeout_s: time limit of one request.
        retries: how often a request is repeated after 429, and, if a repetition is harmless, after 502,
            503, 504 and broken connections: after what `Retry-After` asks or 1, 2, 4, ... s, each
            at most 30 s. Requests that start something are not repeated once they may have done so.
        options: others of `httpx.Client`, such as `verify` for an authority of one's own.
    """

    def __init__(
        self,
        base_url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        **options: Any,
    ) -> None:
        self.retries = retries
        self.http = httpx.Client(
            base_url=base_url, headers=_headers(api_key), timeout=timeout_s, **options
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def carry_out(self, steps: Steps[R]) -> R:
        """Send what steps ask for, and return their result."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                answer = None
                continue
            try:
                answer = self.http.request(step.method, step.path, **step.options)
            except httpx.TransportError as error:
                answer = error


class AsyncClient(ForecastCalls, DataCalls):
    """Connection to one service for asyncio: the calls and arguments of `Client`, to be awaited.

    Calls documented as returning `Steps[X]` return an awaitable of X. Many may wait for their replies at
    once; frames are built between them, in the thread of the event loop.
    """

    def __init__(
        self,
        base_url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        **options: Any,
    ) -> None:
        self.retries = retries
        self.http = httpx.AsyncClient(
            base_url=base_url, headers=_headers(api_key), timeout=timeout_s, **options
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def carry_out(self, steps: Steps[R]) -> R:
        """Send what steps ask for, and return their result."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                answer = None
                continue
            try:
                answer = await self.http.request(step.method, step.path, **step.options)
            except httpx.TransportError as error:
                answer = error


def _headers(api_key: str | None) -> dict[str, str]:
    return {"X-API-Key": api_key} if api_key else {}
