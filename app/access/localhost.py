"""Keyless access while no key exists: from localhost only, and not from other sites' pages.

A web page that someone opens can send requests to services on that person's own machine, and by DNS
rebinding even read the answers under a name of its own. So a service without keys answers only to
loopback names, and accepts changes only from its own page or from no page at all.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

from app.core.errors import PermissionRefused, Unauthenticated
from app.core.roles import is_loopback, is_remote
from app.core.settings import Settings

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
PROXY_HEADERS = frozenset(
    (b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip")
)
FOREIGN_SITES = (b"cross-site", b"same-site")


def check_local(scope: Scope, settings: Settings) -> None:
    """Raise unless a keyless request comes from localhost.

    Raises:
        Unauthenticated: it comes, or may come, from elsewhere.
        PermissionRefused: it was sent by another site's page.
    """
    headers = dict(scope["headers"])
    ends = (scope.get("server"), scope.get("client"))
    if any(is_remote(end[0]) for end in ends if end) or not PROXY_HEADERS.isdisjoint(headers):
        raise Unauthenticated(
            "a key is required from other machines: create one with `hotslot key create`"
        )
    host = headers.get(b"host", b"").decode("latin-1")
    name = _hostname(host)
    if not is_loopback(name) and name not in settings.allowed_hosts:
        raise PermissionRefused(
            "without keys only loopback host names are allowed (HOTSLOT_ALLOWED_HOSTS adds others)",
            code="wrong_host",
        )
    if scope["method"] not in SAFE_METHODS and _from_another_site(headers, host):
        raise PermissionRefused("sent by another site's page", code="cross_site")


@lru_cache(maxsize=256)
def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # half an IPv6 address
        return ""


def _from_another_site(headers: dict[bytes, bytes], host: str) -> bool:
    if headers.get(b"sec-fetch-site") in FOREIGN_SITES:
        return True
    origin = headers.get(b"origin")
    return origin is not None and origin.decode("latin-1").partition("://")[2] != host
