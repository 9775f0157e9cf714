"""Who may do what: roles, the caller of a request, and the text of API keys.

A key is `hsk_<id>_<secret>`: the id names it in lists and in the audit log, the secret (256 random
bits) is shown once and kept as SHA-256 only. Secrets that a person never chose need no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

KEY_PREFIX = "hsk"
LOCAL_ACTOR = "local"
"""Who acts from the command line, and over HTTP on a machine's own loopback before any key exists."""
_KEY = re.compile(rf"{KEY_PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_ABSENT = hashlib.sha256(b"no such key").hexdigest()

current_actor: ContextVar[str] = ContextVar("current_actor", default=LOCAL_ACTOR)
"""Whom the audit log names; set once for each request, and carried into its threads."""
sees_unreleased: ContextVar[bool] = ContextVar("sees_unreleased", default=False)
"""Whether versions show that are not released to readers (storage/releases.py); set like the actor.

What does not say that it may see them does not: see `seeing_unreleased`.
"""
UPKEEP_ACTOR = "upkeep"
"""What the service does by its own clock: retention, rollbacks."""


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Name this actor in the audit log for what is done inside."""
    token = current_actor.set(actor)
    try:
        yield
    finally:
        current_actor.reset(token)


@contextmanager
def seeing_unreleased(allowed: bool) -> Iterator[None]:
    """Say whether what is done inside may see versions that are withheld from readers."""
    token = sees_unreleased.set(allowed)
    try:
        yield
    finally:
        sees_unreleased.reset(token)


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
    """The roles and those they include: admin all; analyst and trainer also reader.

    >>> sorted(with_included([Role.TRAINER]))
    [<Role.READER: 'reader'>, <Role.TRAINER: 'trainer'>]
    """
    return frozenset().union(*(_INCLUDED[role] for role in roles))


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Args:
        actor: as the audit log names it: a key's id, `oidc:` and a subject, or `local`.
        roles: all that it may do, included roles among them.
        regions: ids it is confined to; None means all of them.
        rate_per_s: requests a second; None takes the service's setting, 0 means no limit.
    """

    actor: str
    roles: frozenset[Role]
    regions: frozenset[str] | None = None
    expires_at: datetime | None = None
    rate_per_s: float | None = None

    def sees(self, region_id: str) -> bool:
        """Whether a region is within its scope."""
        return self.regions is None or region_id in self.regions

    @property
    def lists_incidents(self) -> bool:
        """Whether single incidents are no secret to it, as they are to readers."""
        return Role.ANALYST in self.roles


LOCAL = Caller(LOCAL_ACTOR, frozenset(Role), rate_per_s=0.0)


@dataclass(frozen=True)
class Key:
    """An API key as it is kept.

    Args:
        secret_sha256: hex; `previous_sha256` is the one before a rotation, good until
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
        """Who sends requests with this key."""
        regions = None if self.regions is None else frozenset(self.regions)
        roles = with_included(self.roles)
        return Caller(self.id, roles, regions, self.expires_at, self.rate_per_s)

    def active(self, now: datetime) -> bool:
        """Whether it is neither revoked nor past its expiry."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class Minted:
    """A new key's id, what its holder is told once, and what is kept of it."""

    id: str
    text: str
    secret_sha256: str


def mint_key(key_id: str | None = None) -> Minted:
    """A new random key, or a new secret for the key of that id."""
    key_id = key_id or secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    return Minted(key_id, f"{KEY_PREFIX}_{key_id}_{secret}", _hashed(secret))


def key_id_of(text: str) -> str | None:
    """The id in a key's text, or None when the text is no key."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def verify_key(text: str, key: Key | None, now: datetime) -> bool:
    """Whether a text is this key's and the key is active.

    The same hashing and the same two comparisons are made whether the key exists or not, whatever its
    secret is: how long the answer takes tells nothing.
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
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


@lru_cache(maxsize=1024)
def is_remote(host: str) -> bool:
    """Whether a host is an IP address that other machines can have; names and sockets are not."""
    address = _address(host)
    return address is not None and not address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
