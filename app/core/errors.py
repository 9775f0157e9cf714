"""Errors that a caller can act on.

HotslotError
├── InvalidInput          the request or file is wrong            -> 422, exit 2
│   └── LimitExceeded     legal, but larger than a stated limit   -> 422
├── NotFound              no such region, version, run            -> 404
├── Conflict              contradicts what is stored              -> 409
├── NotReady              nothing trained yet, too little data    -> 409
├── Unauthenticated       no valid key                            -> 401
├── PermissionRefused     the key may not do this                 -> 403
├── SourceFailed          an open-data portal refused or broke off (in a sync run, not in replies)
└── Unavailable           database down, disk full, overloaded    -> 503 with Retry-After
    └── RateLimited       too many requests of one key            -> 429 with Retry-After
        └── QueueFull     too many unfinished runs of a region    -> 429 with Retry-After
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.texts import cut

MAX_FIELD_CHARS = 100


class HotslotError(Exception):
    """Base of the errors that reach a caller as problem+json or as one line on the terminal.

    Args:
        params: facts beside the code that a program may act on; short, JSON.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        # Bounded, since a message may repeat what the caller sent.
        self.message = cut(message)
        super().__init__(self.message)
        self.field = None if field is None else cut(field, MAX_FIELD_CHARS)
        if code is not None:
            self.code = code
        self.params = dict(params or {})


class InvalidInput(HotslotError):
    """The request or the file is wrong."""

    code = "invalid_input"


class LimitExceeded(InvalidInput):
    """The request is legal but larger (or finer) than a stated limit.

    Args:
        limit: the limit, as a number that programs can act on.
        asked: what was requested, in the same unit; possibly an estimate.
    """

    code = "limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        limit: float | None = None,
        asked: float | None = None,
    ) -> None:
        super().__init__(message, field=field, code=code)
        self.limit = limit
        self.asked = asked


class NotFound(HotslotError):
    """No such region, model version, training run."""

    code = "not_found"


class Conflict(HotslotError):
    """The request contradicts what is stored."""

    code = "conflict"


class NotReady(HotslotError):
    """Nothing is trained yet, or there is too little data."""

    code = "not_ready"


class Unauthenticated(HotslotError):
    """No valid key or token."""

    code = "unauthenticated"


class PermissionRefused(HotslotError):
    """The key may not do this."""

    code = "forbidden"


class SourceFailed(HotslotError):
    """An open-data portal refused, broke off, or answered what it does not document."""

    code = "source_failed"


class Unavailable(HotslotError):
    """The database is unavailable, the disk is full, or the service is overloaded."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 5, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class RateLimited(Unavailable):
    """One key sends too many requests."""

    code = "rate_limited"


class QueueFull(RateLimited):
    """A region has as many unfinished runs of a kind as it may have.

    Args:
        limit: how many it may have.
        asked: how many it would have.
    """

    code = "too_many_runs"

    def __init__(self, message: str, *, limit: int, asked: int) -> None:
        super().__init__(message, retry_after_s=30)
        self.limit = limit
        self.asked = asked
