"""API keys: create, list, rotate, revoke; each change and its audit entry in one transaction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from app.access import store as keys
from app.audit import store as audit
from app.core.bounds import MAX_KEYS
from app.core.errors import Conflict, InvalidInput
from app.core.roles import Key, Role, is_loopback, mint_key
from app.core.settings import Settings
from app.regions.store import get_region

DEFAULT_EXPIRY_DAYS = 365.0
DEFAULT_GRACE_HOURS = 24.0
MAX_DAYS = 3650.0
MAX_NAME_CHARS = 200
MAX_REGIONS = 1000
MAX_RATE_PER_S = 1e6


@dataclass(frozen=True)
class NewKey:
    """The properties of a key to create.

    Args:
        regions: ids that it is limited to; None means all.
        expires_days: days until it expires; None means never.
        rate_per_s: requests a second; None takes the service's setting, 0 means no limit.
    """

    name: str
    roles: Sequence[str]
    regions: Sequence[str] | None = None
    expires_days: float | None = DEFAULT_EXPIRY_DAYS
    rate_per_s: float | None = None

    def checked_roles(self) -> list[Role]:
        """Validate the request and return its roles.

        Raises:
            InvalidInput: there is none, or one that is unknown; the name or a number is out of range.
        """
        if not 0 < len(self.name) <= MAX_NAME_CHARS or not self.name.isprintable():
            raise InvalidInput(
                f"name must be 1-{MAX_NAME_CHARS} printable characters", field="name"
            )
        if self.expires_days is not None and not 0 < self.expires_days <= MAX_DAYS:
            raise InvalidInput(
                f"days must lie within 0..{MAX_DAYS:.0f}, got {self.expires_days:g}",
                field="expires_days",
            )
        if self.rate_per_s is not None and not 0 <= self.rate_per_s <= MAX_RATE_PER_S:
            raise InvalidInput(
                f"rate_per_s must lie within 0..{MAX_RATE_PER_S:.0f}, got {self.rate_per_s:g}",
                field="rate_per_s",
            )
        unknown = sorted(set(self.roles) - {role.value for role in Role})
        if unknown or not self.roles:
            known = ", ".join(role.value for role in Role)
            raise InvalidInput(f"roles must be some of {known}", field="roles")
        return sorted({Role(role) for role in self.roles})


@dataclass(frozen=True)
class ShownOnce:
    """A key and its text, which cannot be read again."""

    key: Key
    text: str


def key_json(key: Key) -> dict[str, Any]:
    """Return a key as the API and the command line show it, without its secret or hash."""
    active = key.active(datetime.now(UTC))
    return {
        "id": key.id,
        "name": key.name,
        "roles": list(key.roles),
        "regions": None if key.regions is None else list(key.regions),
        "rate_per_s": key.rate_per_s,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "active": active,
    }


def create_key(engine: Engine, new: NewKey, limit: int = MAX_KEYS) -> ShownOnce:
    """Create a key.

    Args:
        limit: keys of the service; the oldest revoked and expired ones are removed beyond it.

    Raises:
        InvalidInput: a role, the name or a number is invalid.
        NotFound: no such region.
        LimitExceeded: the limit is reached by valid keys.
    """
    roles = new.checked_roles()
    minted = mint_key()
    with engine.begin() as connection:
        regions = _known_regions(connection, new.regions)
        gone = keys.make_room(connection, limit)
        key = keys.insert_key(
            connection,
            {
                "id": minted.id,
                "name": new.name,
                "roles": [role.value for role in roles],
                "regions": regions,
                "rate_per_s": new.rate_per_s,
                "secret_sha256": minted.secret_sha256,
                "expires_at": _in(new.expires_days),
            },
        )
        _record(connection, "key.created", key, **({"forgotten": gone} if gone else {}))
    return ShownOnce(key, minted.text)


def list_keys(engine: Engine) -> list[Key]:
    """List all keys, including revoked and expired ones, oldest first."""
    with engine.connect() as connection:
        return keys.all_keys(connection)


def rotate_key(engine: Engine, key_id: str, grace_hours: float = DEFAULT_GRACE_HOURS) -> ShownOnce:
    """Give a key a new secret; the old one stays valid for `grace_hours`.

    Raises:
        NotFound: no such key.
        Conflict: it is revoked.
        InvalidInput: the grace is out of range.
    """
    if not (math.isfinite(grace_hours) and 0 <= grace_hours <= 24 * MAX_DAYS):
        raise InvalidInput(
            f"grace_hours must lie within 0..{24 * MAX_DAYS:.0f}, got {grace_hours:g}",
            field="grace_hours",
        )
    minted = mint_key(key_id)
    with engine.begin() as connection:
        old = keys.locked_key(connection, key_id)
        if old.revoked_at is not None:
            raise Conflict(f"key {key_id} is revoked", code="key_revoked")
        key = keys.change_key(
            connection,
            key_id,
            secret_sha256=minted.secret_sha256,
            previous_sha256=old.secret_sha256 if grace_hours else None,
            previous_until=_in(grace_hours / 24) if grace_hours else None,
        )
        _record(connection, "key.rotated", key, grace_hours=grace_hours)
    return ShownOnce(key, minted.text)


def revoke_key(engine: Engine, key_id: str) -> Key:
    """Revoke a key for good; revoking it again changes nothing.

    Raises:
        NotFound: no such key.
    """
    with engine.begin() as connection:
        old = keys.locked_key(connection, key_id)
        if old.revoked_at is not None:
            return old
        key = keys.change_key(connection, key_id, revoked_at=datetime.now(UTC))
        _record(connection, "key.revoked", key)
    return key


def _record(connection: Connection, action: str, key: Key, **more: Any) -> None:
    audit.record(
        connection,
        action,
        key=key.id,
        roles=list(key.roles),
        regions=None if key.regions is None else list(key.regions),
        **more,
    )


def _known_regions(connection: Connection, regions: Sequence[str] | None) -> list[str] | None:
    if regions is None:
        return None
    if not 0 < len(regions) <= MAX_REGIONS:
        raise InvalidInput(f"regions must be null or name 1-{MAX_REGIONS} regions", field="regions")
    return sorted({get_region(connection, region).id for region in regions})


def _in(days: float | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def require_keys_for_others(engine: Engine, settings: Settings) -> None:
    """Raise if the service would listen beyond loopback without any active key or token issuer.

    Raises:
        InvalidInput: others could reach it without authentication.
    """
    if is_loopback(settings.host) or settings.oidc_issuer is not None:
        return
    now = datetime.now(UTC)
    if not any(key.active(now) for key in list_keys(engine)):
        raise InvalidInput(
            f"others can reach {settings.host} and there is no key yet: create one with "
            "`hotslot key create NAME --role admin`, or listen on 127.0.0.1",
            field="host",
        )
