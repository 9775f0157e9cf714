"""Roles, the caller of a request, and the text of API keys.

A key is `hsk_<id>_<secret>`: the id names it in lists and in the audit log, the secret (256 random
bits) is shown once and stored only as SHA-256. A random secret needs no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
KEY_PREFIX = "hsk"
LOCAL_ACTOR = "local"
"""Actor of the command line, and of HTTP requests from localhost while no key exists."""
_KEY = re.compile(rf"{KEY_PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_ABSENT = hashlib.sha256(b"no such key").hexdigest()

current_actor: ContextVar[str] = ContextVar("current_actor", default=LOCAL_ACTOR)
"""Actor named in the audit log; set for each request, and copied into its threads."""
sees_unreleased: ContextVar[bool] = ContextVar("sees_unreleased", default=False)
"""Whether versions not released to readers are visible; False unless set by `seeing_unreleased`."""
UPKEEP_ACTOR = "upkeep"
"""Actor of scheduled maintenance: retention, rollbacks."""


@contextmanager
def _setting(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def acting_as(actor: str) -> AbstractContextManager[None]:
    """Name this actor in the audit log inside the block."""
    return _setting(current_actor, actor)


def seeing_unreleased(allowed: bool) -> AbstractContextManager[None]:
    """Set whether the block may see versions that are withheld from readers."""
    return _setting(sees_unreleased, allowed)


class Role(StrEnum):
    """What a key may be used for; see docs/security.md for each route."""

    READER = "reader"
    ANALYST = "analyst"
    INGESTER = "ingester"
    TRAINER = "trainer"
    ADMIN = "admin"


_INCLUDED: dict[Role, frozenset[Role]] = {
    Role.READER: frozenset({Role.READER}),
    Role.ANALYST: frozenset({Role.READER, Role.ANALYST}),
    Role.INGESTER: frozenset({Role.INGESTER}),
    Role.TRAINER: frozenset({Role.READER, Role.TRAINER}),
    Role.ADMIN: frozenset(Role),
}


def with_included(roles: Iterable[Role]) -> frozenset[Role]:
    """Return the roles and those they include: admin all; analyst and trainer also reader.

    >>> sorted(with_included([Role.TRAINER]))
    [<Role.READER: 'reader'>, <Role.TRAINER: 'trainer'>]
    """
    return frozenset().union(*(_INCLUDED[role] for role in roles))


@dataclass(frozen=True)
class Caller:
    """The sender of a request.

    Args:
        actor: as the audit log names it: a key's id, `oidc:` and a subject, or `local`.
        roles: including those that its roles include.
        regions: ids that it is limited to; None means all.
        rate_per_s: requests a second; None takes the service's setting, 0 means no limit.
    """

    actor: str
    roles: frozenset[Role]
    regions: frozenset[str] | None = None
    expires_at: datetime | None = None
    rate_per_s: float | None = None

    def sees(self, region_id: str) -> bool:
        """Return whether a region is within the caller's scope."""
        return self.regions is None or region_id in self.regions

    @property
    def lists_incidents(self) -> bool:
        """Whether the caller may list single incidents; readers may not."""
        return Role.ANALYST in self.roles


LOCAL = Caller(LOCAL_ACTOR, frozenset(Role), rate_per_s=0.0)


@dataclass(frozen=True)
class Key:
    """An API key as stored.

    Args:
        secret_sha256: hex; `previous_sha256` is the one before a rotation, valid until
            `previous_until`.
    """

    id: str
    name: str
    roles: tuple[Role, ...]
    regions: tuple[str, ...] | None
    rate_per_s: float | None
    secret_sha256: str
    previous_sha256: str | None
    previous_until: datetime | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def caller(self) -> Caller:
        """Return the caller who sends requests with this key."""
        regions = None if self.regions is None else frozenset(self.regions)
        roles = with_included(self.roles)
        return Caller(self.id, roles, regions, self.expires_at, self.rate_per_s)

    def active(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class Minted:
    """A new key: its id, its text (shown once), and the hash that is stored."""

    id: str
    text: str
    secret_sha256: str


def mint_key(key_id: str | None = None) -> Minted:
    """Generate a new random key, or a new secret for the key of that id."""
    key_id = key_id or secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    return Minted(key_id, f"{KEY_PREFIX}_{key_id}_{secret}", _hashed(secret))


def key_id_of(text: str) -> str | None:
    """Return the id in a key's text, or None if the text is not a key."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def verify_key(text: str, key: Key | None, now: datetime) -> bool:
    """Return whether a text is this key's and the key is active.

    The same hashing and two comparisons are made whether or not the key exists, so that the response
    time reveals nothing.
    """
    found = _KEY.fullmatch(text)
    given = _hashed(found[2] if found else text)
    current = key.secret_sha256 if key else _ABSENT
    previous = (key.previous_sha256 if key else None) or _ABSENT
    is_current = hmac.compare_digest(given, current)
    is_previous = hmac.compare_digest(given, previous)
    if key is None or found is None or found[1] != key.id:
        return False
    in_grace = key.previous_until is not None and now < key.previous_until
    return key.active(now) and (is_current or (is_previous and in_grace))


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


@lru_cache(maxsize=1024)
def is_remote(host: str) -> bool:
    """Return whether a host is an IP address of another machine; names and sockets are not."""
    address = _address(host)
    return address is not None and not address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
