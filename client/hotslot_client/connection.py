"""Requests to one service, repeated where that helps."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import httpx

from hotslot_client.errors import Unreachable, checked

RETRIED = (429, 503)
MAX_WAIT_S = 30.0


class Connection:
    """HTTP connections to one service; `Client` describes the arguments."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"X-API-Key": api_key} if api_key else {}
        self.retries = retries
        self.http = httpx.Client(
            base_url=base_url, headers=headers, timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, retry where that helps, and return the successful reply."""
        for attempt in range(self.retries + 1):
            last = attempt == self.retries
            try:
                reply = self.http.request(method, path, **options)
            except httpx.ConnectError as error:
                if last:
                    raise Unreachable(str(error)) from error
                time.sleep(min(2.0**attempt, MAX_WAIT_S))
                continue
            except httpx.TransportError as error:
                raise Unreachable(str(error) or type(error).__name__) from error
            if reply.status_code not in RETRIED or last:
                return checked(reply)
            time.sleep(_wait_s(reply, attempt))
        raise Unreachable("no attempt was made")


def _wait_s(reply: httpx.Response, attempt: int) -> float:
    retry_after = reply.headers.get("Retry-After", "")
    return min(float(retry_after) if retry_after.isdigit() else 2.0**attempt, MAX_WAIT_S)
