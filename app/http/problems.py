"""Map errors to RFC 9457 problem+json: one table from exception to status, no internals in replies."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg.errors import CheckViolation, NumericValueOutOfRange
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, IntegrityError
from starlette.exceptions import HTTPException

from app.core.errors import (
    MAX_FIELD_CHARS,
    Conflict,
    HotslotError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    NotReady,
    PermissionRefused,
    QueueFull,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from app.core.texts import cut
from app.http.schemas import Responses, reference

CONTENT_TYPE = "application/problem+json"
WWW_AUTHENTICATE = 'ApiKey realm="hotslot", Bearer realm="hotslot"'
MAX_ERRORS = 20
MAX_NUMBER_CHARS = 40
_BOUNDS = ("ge", "gt", "le", "lt", "max_length", "min_length")
STATUS_OF: tuple[tuple[type[HotslotError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (NotReady, 409),
    (Conflict, 409),
    (Unauthenticated, 401),
    (PermissionRefused, 403),
    (RateLimited, 429),
    (Unavailable, 503),
    (HotslotError, 500),
)
STATUS_OF_CODE = {
    "unsupported_media_type": 415,
    "too_large": 413,
    "disk_full": 507,
    "artifact_corrupt": 409,
    "timeout": 408,
    "no_websockets": 400,
    "too_many_headers": 431,
}
PROBLEMS: dict[int, tuple[str, str, str, str | None]] = {
    400: ("Bad request", "bad_request", "there was an error parsing the body", None),
    401: (
        "Not authenticated",
        "unauthenticated",
        "a key is needed: send it in the header X-API-Key",
        None,
    ),
    403: ("Forbidden", "forbidden", "this needs the role analyst", None),
    404: ("Not found", "not_found", "no such region: atlantis", "region"),
    408: ("Request timeout", "timeout", "timed out waiting for the request body", None),
    409: ("Conflict", "no_model", "no model has been trained for this region yet", None),
    413: ("Too large", "too_large", "the body is larger than 1073741824 bytes", None),
    415: (
        "Unsupported media type",
        "unsupported_media_type",
        "Content-Type 'text/plain' is not one of text/csv, ...",
        "Content-Type",
    ),
    422: ("Invalid input", "limit_exceeded", "n is 20000, the limit is 10000", "n"),
    429: (
        "Too many requests",
        "rate_limited",
        "this key sends more than 50 requests a second",
        None,
    ),
    500: (
        "Internal error",
        "internal_error",
        "internal error; the server's log has the details",
        None,
    ),
    503: ("Unavailable", "database_unavailable", "the database cannot be reached", None),
    507: ("Insufficient storage", "disk_full", "the disk is full", None),
}
"""{status: title, then code, detail and field of an example}: what any call may answer."""
TITLES = {
    **{status: title for status, (title, *_) in PROBLEMS.items()},
    405: "Method not allowed",
    406: "Not acceptable",
    431: "Request header fields too large",
}
_log = logging.getLogger("hotslot.api")


class Problem(BaseModel):
    """An error as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: str = Field(description="what a person can act on")
    code: str = Field(description="what a program can act on")
    field: str | None = Field(default=None, description="the parameter or member at fault")
    limit: float | None = Field(default=None, description="the limit that was exceeded")
    asked: float | None = Field(default=None, description="what was requested, in the limit's unit")
    params: dict[str, Any] | None = Field(default=None, description="facts beside the code")
    errors: list[dict[str, Any]] | None = None


def _documented(status: int) -> dict[str, Any]:
    title, code, detail, field = PROBLEMS[status]
    kind = f"urn:hotslot:{code}"
    example = {"type": kind, "title": title, "status": status, "detail": detail, "code": code}
    if field is not None:
        example["field"] = field
    if code == "limit_exceeded":
        example |= {"limit": 10_000, "asked": 20_000}
    content = {CONTENT_TYPE: {"schema": reference(Problem), "example": example}}
    return {"description": title, "content": content}


DOCUMENTED: Responses = {status: _documented(status) for status in PROBLEMS}
"""Replies that every call may give, for the OpenAPI document."""


def problem(
    status: int,
    detail: str,
    code: str,
    *,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    """Build a problem+json reply."""
    body: dict[str, Any] = {
        "type": f"urn:hotslot:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": cut(detail.encode("utf-8", "replace").decode()),
        "code": code,
    }
    if field is not None:
        body["field"] = cut(field, MAX_FIELD_CHARS)
    return Response(
        orjson.dumps({**body, **more}), status, headers=headers, media_type=CONTENT_TYPE
    )


def problem_of(error: HotslotError, invalid: int = 422) -> Response:
    """Build the reply to one of our own errors; `invalid` is the status of what a request gets wrong."""
    status = next(status for kind, status in STATUS_OF if isinstance(error, kind))
    status = STATUS_OF_CODE.get(error.code, invalid if status == 422 else status)
    headers = None
    if isinstance(error, Unavailable):
        headers = {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Unauthenticated):
        headers = {"WWW-Authenticate": WWW_AUTHENTICATE}
    detail = error.message if status != 500 else "internal error"
    if status == 500:
        _log.error("request failed: %s", error.message)
    more: dict[str, Any] = {"params": error.params} if error.params else {}
    if isinstance(error, LimitExceeded | QueueFull) and error.limit is not None:
        more |= {"limit": error.limit, "asked": error.asked}
    return problem(status, detail, error.code, field=error.field, headers=headers, **more)


def validation_problem(error: RequestValidationError, status: int = 422) -> Response:
    """Say what was wrong and where; never the value, which may not even be JSON."""
    errors = [
        {
            "field": cut(_place(found["loc"]), MAX_FIELD_CHARS),
            "code": str(found["type"]),
            "message": cut(str(found["msg"]).encode("utf-8", "replace").decode()),
            **_bound(found),
        }
        for found in error.errors()[:MAX_ERRORS]
    ]
    first = errors[0]
    detail = f"{first['field']}: {first['message']}"
    more = {name: first[name] for name in ("limit", "asked") if name in first}
    return problem(status, detail, "invalid_input", field=first["field"], errors=errors, **more)


def _place(loc: Sequence[object]) -> str:
    """Name the place in a request; the caller may give members names of any length."""
    return ".".join(cut(str(part), MAX_FIELD_CHARS) for part in loc[1:]) or str(loc[0])


def _of_database(error: DataError | IntegrityError) -> Response:
    """Report a value that the service's rules accept but the database refuses."""
    original = error.orig
    if isinstance(original, NumericValueOutOfRange):
        return problem(422, "a number is larger than can be stored", "out_of_range")
    if isinstance(original, CheckViolation):
        name = original.diag.constraint_name or ""
        return problem(422, f"a value is larger than may be stored ({name})", "limit_exceeded")
    if isinstance(original, psycopg.DataError):
        return _bad_text(original)
    _log.exception("request failed", exc_info=error)
    return problem(500, "internal error; the server's log has the details", "internal_error")


def _bad_text(_error: Exception) -> Response:
    return problem(422, "a value holds characters that cannot be stored", "bad_text")


def _bound(found: dict[str, Any]) -> dict[str, Any]:
    """Return the limit that a number exceeds, and the number, where both are short and finite."""
    context = found.get("ctx") or {}
    limit = next((context[name] for name in _BOUNDS if name in context), None)
    given = found.get("input")
    if isinstance(given, str) and "max_length" in context:
        given = len(given)
    try:
        asked = float(str(context.get("actual_length", given))[:MAX_NUMBER_CHARS])
    except ValueError:
        return {}
    return {} if limit is None or not math.isfinite(asked) else {"limit": limit, "asked": asked}


def _of_http(error: HTTPException) -> Response:
    code = TITLES.get(error.status_code, "error").lower().replace(" ", "_")
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, str(error.detail), code, headers=headers)


Handler = Callable[[Request, Exception], Awaitable[Response]]


def _handler(make: Callable[[Any], Response]) -> Handler:
    async def handle(_request: Request, error: Exception) -> Response:
        return make(error)

    return handle


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of every route a problem+json reply."""
    app.add_exception_handler(HotslotError, _handler(problem_of))
    app.add_exception_handler(RequestValidationError, _handler(validation_problem))
    app.add_exception_handler(HTTPException, _handler(_of_http))
    app.add_exception_handler(DataError, _handler(_of_database))
    app.add_exception_handler(IntegrityError, _handler(_of_database))
    app.add_exception_handler(UnicodeError, _handler(_bad_text))


async def internal_error(_request: Request, error: Exception) -> Response:
    """Answer any other exception; the log has the details."""
    _log.exception("request failed", exc_info=error)
    return problem(500, "internal error; the server's log has the details", "internal_error")
