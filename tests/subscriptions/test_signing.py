"""Secrets are derived from a key outside the database; signatures cover id, time and body."""

from dataclasses import replace

import pytest

from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.subscriptions.signing import (
    KEY_FILE,
    digest_of,
    headers_of,
    new_salt,
    push_key,
    secret_of,
)
from tests.support.services.receivers import Received, verifies

BODY = b'{"region": "small"}'


def signed(*secrets: str, at: int = 1_700_000_000) -> Received:
    return Received(headers_of(list(secrets), "7", at, BODY), BODY)


def test_a_signature_verifies_and_nothing_else_does():
    secret, other = (secret_of(b"key", new_salt()) for _ in range(2))
    told, now = signed(secret), 1_700_000_100.0
    assert verifies(secret, told, now)
    assert not verifies(other, told, now)
    assert not verifies(secret, replace(told, body=BODY + b" "), now)
    for name, value in (("webhook-id", "8"), ("webhook-timestamp", "1700000001")):
        assert not verifies(secret, replace(told, headers={**told.headers, name: value}), now)
    assert not verifies(secret, told, now + 3600)


def test_after_a_rotation_both_secrets_verify():
    old, new = (secret_of(b"key", new_salt()) for _ in range(2))
    told, now = signed(new, old), 1_700_000_100.0
    assert verifies(old, told, now)
    assert verifies(new, told, now)


def test_the_secret_follows_from_key_and_salt():
    salt = new_salt()
    assert secret_of(b"key", salt) == secret_of(b"key", salt) != secret_of(b"other", salt)
    assert secret_of(b"key", salt) != secret_of(b"key", new_salt())
    assert len(digest_of(secret_of(b"key", salt))) == 32


def test_the_embedded_server_has_a_key_that_only_its_user_reads(tmp_path):
    settings = Settings(home=tmp_path / "home")
    first = push_key(settings)
    assert push_key(settings) == first
    assert len(first) == 32
    assert (tmp_path / "home" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "home").iterdir()] == [KEY_FILE]


def test_with_another_database_the_key_is_a_setting(tmp_path):
    settings = Settings(home=tmp_path, database_url="postgresql://elsewhere/x")
    with pytest.raises(InvalidInput, match="HOTSLOT_PUSH_KEY"):
        push_key(settings)
    assert push_key(settings.model_copy(update={"push_key": Settings(push_key="k" * 32).push_key}))
    with pytest.raises(ValueError, match="at least 32"):
        Settings(push_key="short")
