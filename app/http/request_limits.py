"""Refuse requests by their form, before parsing: they are cheap to send and expensive to read."""

from __future__ import annotations

from starlette.types import Scope

from app.core.errors import InvalidInput, LimitExceeded

MAX_ADDRESS_BYTES = 32 << 10
MAX_PARAMETERS = 100
"""Limit for routes that take no longer lists."""
MAX_HEADERS = 100


def check_form(scope: Scope, max_parameters: int = MAX_PARAMETERS) -> None:
    """Raise unless a request has ordinary form.

    Raises:
        LimitExceeded: the URL is too long, or there are too many parameters or headers.
        InvalidInput: the request asks for a WebSocket.
    """
    query: bytes = scope["query_string"]
    n_bytes = len(scope["path"]) + len(query)
    if n_bytes > MAX_ADDRESS_BYTES:
        raise LimitExceeded(
            f"path and query are {n_bytes} bytes long, the limit is {MAX_ADDRESS_BYTES}",
            limit=MAX_ADDRESS_BYTES,
            asked=n_bytes,
        )
    n_parameters = query.count(b"&") + 1
    if n_parameters > max_parameters:
        raise LimitExceeded(
            f"the query has {n_parameters} parameters, the limit is {max_parameters}",
            limit=max_parameters,
            asked=n_parameters,
        )
    n_headers = len(scope["headers"])
    if n_headers > MAX_HEADERS:
        raise LimitExceeded(
            f"the request has {n_headers} headers, the limit is {MAX_HEADERS}",
            limit=MAX_HEADERS,
            asked=n_headers,
            code="too_many_headers",
        )
    for name, value in scope["headers"]:
        if name == b"upgrade" and value.lower() == b"websocket":
            raise InvalidInput(
                "this service has no WebSockets: send plain HTTP requests, "
                "follow a run by its /events",
                code="no_websockets",
            )
