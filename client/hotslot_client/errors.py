"""Exceptions, and the replies that raise them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class ClientError(Exception):
    """Base class of all errors of this client."""


class Unreachable(ClientError):
    """The service did not reply in time."""


class Refused(ClientError):
    """The service replied with an error (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", f"status {status}")))
        self.status = status
        self.code: str = problem.get("code", "error")
        self.field: str | None = problem.get("field")
        self.problem = dict(problem)


class NotFound(Refused):
    """The region, version or run does not exist."""


class NotAllowed(Refused):
    """The key is missing or wrong, or its role does not permit the call."""


class Invalid(Refused):
    """The request is invalid or exceeds a limit."""


class Busy(Refused):
    """The service is overloaded, or its rate limit is reached."""


ERROR_OF: dict[int, type[Refused]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: Busy,
    503: Busy,
    507: Busy,
}


def checked(reply: httpx.Response) -> httpx.Response:
    """Return a successful reply.

    Raises:
        Refused: it is an error.
    """
    if reply.is_success:
        return reply
    try:
        problem = reply.json()
    except ValueError:
        problem = {}
    kind = ERROR_OF.get(reply.status_code, Refused)
    raise kind(reply.status_code, problem if isinstance(problem, dict) else {})
