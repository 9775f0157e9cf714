"""Identify who sends a request: a key's holder, a token's subject, or localhost."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from starlette.types import Scope

from app.access.key_cache import REFRESH_S, REREAD_EVERY_S, KeyRing
from app.access.read_counter import ReadCounter
from app.core.db.deadlines import remaining_s
from app.core.errors import HotslotError, Unauthenticated, Unavailable
from app.core.roles import LOCAL, Caller, key_id_of
from app.core.settings import Settings
from app.http.fair_shares import Places
from app.http.middleware.rate_limit import Brake, RateLimiter, address_of

if TYPE_CHECKING:
    from app.access.oidc import TokenVerifier


from functools import lru_cache
from urllib.parse import urlsplit

from app.core.errors import PermissionRefused
from app.core.roles import is_loopback, is_remote

T = TypeVar("T")
READING_METHODS = frozenset(("GET", "HEAD"))


@dataclass(frozen=True)
class AccessControl:
    """State for access decisions, one per process; created in the lifespan."""

    settings: Settings
    ring: KeyRing
    tokens: TokenVerifier | None
    limiter: RateLimiter
    reads: ReadCounter
    addresses: RateLimiter = field(default_factory=lambda: RateLimiter(0.0, 0))
    """Requests without a valid key, by address."""
    places: Places = field(default_factory=Places)
    brake: Brake = field(default_factory=Brake)


async def caller_of(scope: Scope, gate: AccessControl) -> Caller:
    """Return who sends a request.

    Raises:
        Unauthenticated: no valid key or token.
        PermissionRefused: without keys: another site's page, another machine's name.
        Unavailable: the keys cannot be read.
    """
    if not gate.ring.usable():
        await _shared(gate.ring.fresh())
    caller = known(scope, gate)
    if caller is None and _is_open(gate):
        try:
            await _read_again(gate.ring)
        except Unavailable:
            if not gate.ring.usable():
                raise
        caller = LOCAL if _is_open(gate) else known(scope, gate)
    text = credential(scope) or ""
    if caller is None and key_id_of(text) is not None:
        await _read_again(gate.ring)
        caller = gate.ring.caller_of(text)
    elif caller is None and gate.tokens is not None:
        caller = await _in_time(gate.tokens.verify(text))
    if caller is None:
        raise Unauthenticated("this key is unknown, expired or revoked", code="bad_key")
    return caller


def known(scope: Scope, gate: AccessControl) -> Caller | None:
    """Return the caller if that can be decided without waiting, else None.

    Raises:
        Unauthenticated, PermissionRefused: see `caller_of`.
    """
    if not gate.ring.usable():
        return None
    text = credential(scope)
    if _is_open(gate):
        check_local(scope, gate.settings)
        # A key was sent, so another process may just have created the first one.
        return LOCAL if text is None and gate.ring.copy.age_s() <= REFRESH_S else None
    if text is None:
        raise Unauthenticated("a key is required: send it in the header X-API-Key")
    caller = gate.ring.caller_of(text)
    if caller is None and gate.tokens is not None:
        caller = gate.tokens.cached(text)
    return caller


async def asked(scope: Scope, gate: AccessControl) -> Caller:
    """Identify a caller who is not cached; the number of such requests at a time is limited."""
    address = address_of(scope)
    gate.places.asked.enter(address)
    try:
        return await caller_of(scope, gate)
    finally:
        gate.places.asked.give_back(address)


def _is_open(gate: AccessControl) -> bool:
    """Return whether keyless requests from this machine are served."""
    return not gate.ring.copy.keys and gate.tokens is None and gate.settings.access == "auto"


def payer(scope: Scope, gate: AccessControl) -> Caller | None:
    """Return the caller of a request to an unknown route, if identified."""
    try:
        return known(scope, gate)
    except HotslotError:
        return None


def credential(scope: Scope) -> str | None:
    """Return the key or token of a request, or None."""
    bearer = None
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return str(value.decode("latin-1"))
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = value[7:].strip().decode("latin-1")
        if name == b"authorization" and value[:6].lower() == b"basic ":
            bearer = _password(value[6:]) if scope["method"] in READING_METHODS else None
    return bearer


def _password(encoded: bytes) -> str:
    """Return the password of Basic authentication, for programs that send no other header.

    Only for reading: a browser that remembers it would send it with other sites' requests, too.
    """
    try:
        return base64.b64decode(encoded, validate=True).decode("latin-1").partition(":")[2]
    except ValueError:
        return ""


async def _read_again(ring: KeyRing) -> None:
    """Wait for a fresh reading of the keys: an unknown key may have been created a moment ago."""
    asked = time.monotonic()
    await asyncio.sleep(max(0.0, REREAD_EVERY_S - ring.copy.age_s()))
    while ring.copy.read_at < asked:
        await _shared(ring.fresh())


async def _shared(future: Future[T]) -> T:
    """Await a future that others await too, without passing on our cancellation."""
    return await _in_time(asyncio.shield(asyncio.wrap_future(future)))


async def _in_time(work: Awaitable[T]) -> T:
    """Await something until the request's deadline.

    Raises:
        Unavailable: it did not finish in time.
    """
    left_s = remaining_s()
    try:
        async with asyncio.timeout(None if left_s == math.inf else left_s):
            return await work
    except TimeoutError as error:
        raise Unavailable("the key could not be checked in time") from error


SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
PROXY_HEADERS = frozenset(
    (
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
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
