"""Keys: shown once, stored hashed, compared in constant time; expiry, rotation, revocation, scope."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update
from typer.testing import CliRunner

from app.access.key_cache import KeyRing
from app.access.service import NewKey, create_key, revoke_key, rotate_key
from app.cli import app as command_line
from app.core import roles as access
from app.core.db.tables import api_keys
from app.core.errors import Conflict, InvalidInput, NotFound, Unavailable
from app.core.roles import Key, Role, key_id_of, mint_key, verify_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def key_with(secret_sha256: str, key_id: str, **changes) -> Key:
    values = {
        "id": key_id, "name": "n", "roles": (Role.READER,), "regions": None, "rate_per_s": None,
        "secret_sha256": secret_sha256, "previous_sha256": None, "previous_until": None,
        "created_at": NOW, "expires_at": None, "revoked_at": None,
    }  # fmt: skip
    return Key(**{**values, **changes})


def test_a_secret_has_256_bits_and_is_not_kept(engine):
    made = create_key(engine, NewKey("a", ["reader"]))
    secret = made.text.split("_", 2)[2]
    assert len(secret) == 43
    assert key_id_of(made.text) == made.key.id
    with engine.connect() as connection:
        tables = ("api_keys", "audit_log")
        stored = [str(connection.execute(text(f"SELECT * FROM {t}")).all()) for t in tables]
    assert made.key.id in stored[0]
    assert not any(secret in rows or made.text in rows for rows in stored)
    assert made.key.secret_sha256 not in stored[1]


@given(st.text())
def test_no_text_but_its_own_opens_a_key(text):
    minted = mint_key()
    key = key_with(minted.secret_sha256, minted.id)
    assert verify_key(minted.text, key, NOW)
    assert verify_key(text, key, NOW) == (text == minted.text)
    assert not verify_key(minted.text + text, key, NOW) or not text


def test_every_answer_takes_the_same_comparisons(monkeypatch):
    minted, other = mint_key(), mint_key()
    key = key_with(minted.secret_sha256, minted.id)
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(a: str, b: str) -> bool:
        compared.append((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr(access.hmac, "compare_digest", watched)
    cases = [
        (minted.text, key, True),
        (other.text, key, False),
        (mint_key(minted.id).text, key, False),
        (minted.text, None, False),
        ("no key at all", None, False),
        (minted.text, key_with(minted.secret_sha256, minted.id, revoked_at=NOW), False),
        (minted.text, key_with(minted.secret_sha256, minted.id, expires_at=NOW), False),
    ]
    for presented, kept, good in cases:
        compared.clear()
        assert verify_key(presented, kept, NOW) == good
        assert compared == [(64, 64), (64, 64)]


@pytest.mark.slow
def test_a_key_expires(guarded):
    text_ = guarded.make("reader", expires_days=1)
    assert guarded.ask("GET", "/v1/me", text_).status_code == 200
    with guarded.engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(
            update(api_keys).where(api_keys.c.id == key_id_of(text_)).values(expires_at=past)
        )
    guarded.client.app.state.gate.ring.reread()
    refused = guarded.ask("GET", "/v1/me", text_)
    assert (refused.status_code, refused.json()["code"]) == (401, "bad_key")


def test_a_rotated_key_keeps_its_id_and_its_old_secret_for_a_while(guarded):
    first = guarded.make("reader")
    admin = guarded.keys["admin"]
    url = f"/v1/keys/{key_id_of(first)}"
    second = guarded.ask("POST", f"{url}/rotate", admin, json={"grace_hours": 1}).json()["key"]
    assert second != first
    assert key_id_of(second) == key_id_of(first)
    assert [guarded.ask("GET", "/v1/me", k).status_code for k in (first, second)] == [200, 200]
    third = guarded.ask("POST", f"{url}/rotate", admin, json={"grace_hours": 0}).json()["key"]
    answers = [guarded.ask("GET", "/v1/me", k).status_code for k in (first, second, third)]
    assert answers == [401, 401, 200]
    assert guarded.ask("DELETE", url, admin).json()["active"] is False
    assert guarded.ask("GET", "/v1/me", third).status_code == 401
    assert guarded.ask("POST", f"{url}/rotate", admin, json={}).status_code == 409


def test_a_key_made_over_http_is_shown_once(guarded):
    admin = guarded.keys["admin"]
    wanted = {"name": "wall map", "roles": ["reader"], "regions": ["here"]}
    made = guarded.ask("POST", "/v1/keys", admin, json=wanted)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert guarded.ask("GET", "/v1/me", made.json()["key"]).json()["regions"] == ["here"]
    listed = guarded.ask("GET", "/v1/keys", admin)
    assert made.json()["id"] in listed.text
    assert made.json()["key"] not in listed.text
    assert "sha256" not in listed.text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"roles": []}, 422),
        ({"roles": ["root"]}, 422),
        ({"regions": ["nowhere"]}, 404),
        ({"regions": []}, 422),
        ({"expires_days": 0}, 422),
        ({"expires_days": 1e9}, 422),
        ({"rate_per_s": -1}, 422),
        ({"name": "a\x00b"}, 422),
        ({"secret": "chosen"}, 422),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(guarded, changes, status):
    body = {"name": "x", "roles": ["reader"], **changes}
    assert guarded.ask("POST", "/v1/keys", guarded.keys["admin"], json=body).status_code == status


def test_revocation_reaches_other_processes_by_itself(guarded):
    made = create_key(guarded.engine, NewKey("x", ["reader"]))
    ring = guarded.client.app.state.gate.ring
    # Unknown to the process, whose copy of the keys is fresh: it looks again.
    assert guarded.ask("GET", "/v1/me", made.text).status_code == 200
    revoke_key(guarded.engine, made.key.id)
    aged = type(ring.copy)(ring.copy.keys, float("-inf"))
    ring.copy = aged
    assert guarded.ask("GET", "/v1/me", made.text).status_code == 401


def test_without_a_database_no_key_is_taken_on_trust(guarded):
    ring = guarded.client.app.state.gate.ring
    kept = ring.copy

    class Away(KeyRing):
        def _read(self):
            raise Unavailable("the database cannot be reached")

    away = Away(guarded.engine)
    away.copy = type(kept)(kept.keys, float("-inf"))
    gate = guarded.client.app.state.gate
    guarded.client.app.state.gate = type(gate)(
        gate.settings, away, gate.tokens, gate.limiter, gate.reads
    )
    try:
        reply = guarded.ask("GET", "/v1/me", guarded.keys["admin"])
        assert (reply.status_code, "retry-after" in reply.headers) == (503, True)
    finally:
        guarded.client.app.state.gate = gate
        away.close()


def test_revoking_twice_changes_nothing_and_unknown_keys_are_not_found(engine):
    made = create_key(engine, NewKey("x", ["reader"]))
    first = revoke_key(engine, made.key.id)
    assert revoke_key(engine, made.key.id).revoked_at == first.revoked_at
    with pytest.raises(Conflict):
        rotate_key(engine, made.key.id)
    with pytest.raises(NotFound):
        revoke_key(engine, "000000000000")
    with pytest.raises(InvalidInput):
        rotate_key(engine, made.key.id, float("nan"))


def test_keys_on_the_command_line(settings, guarded, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    run = CliRunner().invoke
    made = run(command_line, ["key", "create", "map", "--role", "reader", "--json"])
    assert made.exit_code == 0, made.output
    shown = json.loads(made.stdout)
    assert guarded.ask("GET", "/v1/me", shown["key"]).status_code == 200
    rotated = run(command_line, ["key", "rotate", shown["id"], "--grace-hours", "0"])
    assert guarded.ask("GET", "/v1/me", rotated.stdout.strip()).json()["actor"] == shown["id"]
    listed = run(command_line, ["key", "list", "--json"]).stdout
    assert shown["id"] in listed
    assert shown["key"] not in listed
    assert run(command_line, ["key", "revoke", shown["id"]]).exit_code == 0
    with guarded.engine.connect() as connection:
        revoked = connection.scalar(
            text("SELECT revoked_at FROM api_keys WHERE id = :id"), {"id": shown["id"]}
        )
    assert revoked is not None
