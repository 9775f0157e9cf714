"""Exceptions, and the replies that raise them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx


class ClientError(Exception):
    """Base class of all errors of this client."""


class Unreachable(ClientError):
    """The service did not reply in time, or the connection broke."""


class Refused(ClientError):
    """The service replied with an error (RFC 9457).

    Attributes:
        status: of the reply.
        code: what went wrong, for programs, such as `limit_exceeded`.
        params: facts beside the code; may be empty.
        field: the parameter or member at fault.
        limit, asked: the limit that was exceeded, and what was requested.
        retry_after_s: how long the service asks to wait before another attempt.
        problem: the whole problem.
    """

    def __init__(
        self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None
    ) -> None:
        super().__init__(str(problem.get("detail", f"status {status}")))
        self.status = status
        self.code: str = problem.get("code", "error")
        self.params: dict[str, Any] = problem.get("params") or {}
        self.field: str | None = problem.get("field")
        self.limit: float | None = problem.get("limit")
        self.asked: float | None = problem.get("asked")
        self.retry_after_s = retry_after_s
        self.problem = dict(problem)


class Invalid(Refused):
    """The request is invalid or exceeds a limit."""


class LimitExceeded(Invalid):
    """The request is larger or finer than a limit allows: `limit`, `asked`."""


class NotAllowed(Refused):
    """The key is missing or wrong, or its role does not permit the call."""


class Unauthenticated(NotAllowed):
    """The key is missing, wrong or revoked."""


class Forbidden(NotAllowed):
    """The key's role does not permit the call."""


class NotFound(Refused):
    """The region, version or run does not exist."""


class Conflict(Refused):
    """The request contradicts what is stored, or what it needs is not there yet."""


class NoModel(Conflict):
    """No model has been trained for the region yet."""


class Busy(Refused):
    """The service cannot answer now; a later attempt may succeed."""


class RateLimited(Busy):
    """The key sends too many requests."""


class TooManyRuns(RateLimited):
    """The region has as many unfinished runs as it may have: `limit`."""


class Unavailable(Busy):
    """The service is overloaded, or its database or disk is unavailable."""


class ServerError(Refused):
    """The service failed; its log has the details."""


KIND_OF_CODE: dict[str, type[Refused]] = {
    "limit_exceeded": LimitExceeded,
    "no_model": NoModel,
    "too_many_runs": TooManyRuns,
}
KIND_OF_STATUS: dict[int, type[Refused]] = {
    **dict.fromkeys((400, 405, 406, 408, 413, 415, 422, 431), Invalid),
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    500: ServerError,
    **dict.fromkeys((502, 503, 504, 507), Unavailable),
}


def refusal(reply: httpx.Response) -> Refused:
    """Return the exception of an error reply, by its code or its status."""
    try:
        problem = reply.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    kind = KIND_OF_STATUS.get(reply.status_code, Refused)
    kind = KIND_OF_CODE.get(str(problem.get("code")), kind)
    return kind(reply.status_code, problem, _seconds(reply.headers.get("Retry-After", "")))


def _seconds(retry_after: str) -> float | None:
    """Read `Retry-After`: seconds, or a date as some proxies send it."""
    if retry_after.isdigit():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - datetime.now(UTC)).total_seconds(), 0.0)
