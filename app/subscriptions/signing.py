"""Secrets of webhooks, and signatures as Standard Webhooks defines them (standardwebhooks.com).

A secret is derived from a salt, which the database has, and the service's push key, which it has not: a copy
of the database signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from app.core.errors import InvalidInput
from app.core.private_files import private_folder
from app.core.settings import Settings

PREFIX = "whsec_"
ID_HEADER, TIME_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
SALT_BYTES, KEY_BYTES = 16, 32
KEY_FILE = "push.key"


def push_key(settings: Settings) -> bytes:
    """Return the key from which secrets are derived; with the embedded database, create it if needed.

    Raises:
        InvalidInput: there is none, and no place that all processes of the service share.
    """
    if settings.push_key is not None:
        return settings.push_key.get_secret_value().encode()
    if settings.database_url is not None:
        raise InvalidInput(
            "webhooks need HOTSLOT_PUSH_KEY, at least 32 characters, the same for all processes: "
            "`openssl rand -base64 32` makes one",
            field="target",
            code="no_push_key",
        )
    file = settings.home / KEY_FILE
    if not file.exists():
        _create(file)
    return file.read_bytes()


def _create(file: Path) -> None:
    """Write a new key; of several processes that do, one wins."""
    private_folder(file.parent)
    draft = file.with_name(f"{KEY_FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(secrets.token_bytes(KEY_BYTES))
        opened.flush()
        os.fsync(opened.fileno())
    try:
        with suppress(FileExistsError):
            file.hardlink_to(draft)
    finally:
        draft.unlink()


def new_salt() -> bytes:
    """Return a random salt."""
    return secrets.token_bytes(SALT_BYTES)


def secret_of(key: bytes, salt: bytes) -> str:
    """Return the secret of a salt, as receivers know it."""
    derived = hmac.new(key, b"hotslot webhook " + salt, hashlib.sha256).digest()
    return PREFIX + base64.b64encode(derived).decode()


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret, to notice that the push key was changed."""
    return hashlib.sha256(secret.encode()).digest()


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Sign a message: HMAC-SHA256 over its id, its time and its body.

    >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers_of(
    signing: list[str], message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Return the headers of a message, signed with each of the secrets that are valid now."""
    signatures = [signature(secret, message_id, timestamp_s, body) for secret in signing]
    return {
        ID_HEADER: message_id,
        TIME_HEADER: str(timestamp_s),
        SIGNATURE_HEADER: " ".join(signatures),
    }
