"""Addresses in replies: absolute, as the client reaches them, with the prefix of a proxy."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.types import Scope

from app.http.middleware.proxies import PREFIX


def prefix_of(scope: Scope) -> str:
    """Return the path under which clients reach the service, such as `/hotslot`; or an empty text."""
    prefix: str = scope.get(PREFIX, "")
    return prefix


def base_of(request: Request) -> str:
    """Return the service's address without a slash at the end."""
    return f"{request.base_url.scheme}://{request.base_url.netloc}{prefix_of(request.scope)}"


def link(request: Request, path: str, **query: object) -> str:
    """Return the address of a path of this service; parameters that are None are left out."""
    given = {name: value for name, value in query.items() if value is not None}
    asked = f"?{urlencode(given, doseq=True)}" if given else ""
    return f"{base_of(request)}{path}{asked}"


def same_with(request: Request, **changed: object) -> str:
    """Return the address of this request with other parameters; those that are None are removed."""
    query = [
        pair
        for pair in parse_qsl(request.url.query, keep_blank_values=True)
        if pair[0] not in changed
    ]
    query += [(name, str(value)) for name, value in changed.items() if value is not None]
    path = quote(request.scope["path"], safe="/:@!$&'()*+,;=~")
    return f"{base_of(request)}{path}{'?' if query else ''}{urlencode(query)}"
