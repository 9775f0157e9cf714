"""Bearer tokens of an issuer: its keys are served by a real local server, and made here."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient

from app.access import oidc
from app.access.oidc import TokenVerifier
from app.core.errors import InvalidInput
from app.main import create_app
from app.regions.service import add_region

AUDIENCE = "hotslot"


@dataclass
class Issuer:
    """An identity provider: its address, its keys, what it publishes, how often it was asked."""

    url: str
    private: dict[str, object]
    published: list[dict[str, object]]
    asked: list[str]

    def publish(self, kid: str, private, algorithm: str) -> None:
        public = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
        self.private[kid] = private
        self.published.append({**public, "kid": kid, "alg": algorithm, "use": "sig"})

    def token(self, kid: str = "rsa", algorithm: str = "RS256", key=None, **changes) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": AUDIENCE, "sub": "ana", "exp": now + 300, "iat": now,
            "realm": {"roles": ["police-analysts", "something else"]},
        } | changes  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.private[kid], algorithm, headers={"kid": kid})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer("", {}, [], [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            made.asked.append(self.path)
            bodies = {
                "/.well-known/openid-configuration": {"jwks_uri": f"{made.url}/keys"},
                "/keys": {"keys": made.published},
            }
            body = json.dumps(bodies[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    made.publish("rsa", rsa.generate_private_key(65537, 2048), "RS256")
    made.publish("ec", ec.generate_private_key(ec.SECP256R1()), "ES256")
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def client(engine, settings, issuer) -> Iterator[TestClient]:
    add_region(engine, "here", timezone="UTC")
    changed = settings.model_copy(
        update={
            "oidc_issuer": issuer.url,
            "oidc_audience": AUDIENCE,
            "oidc_roles_claim": "realm.roles",
            "oidc_roles": {"police-analysts": "analyst", "police-admins": "admin"},
            "oidc_regions_claim": "areas",
        }
    )
    with TestClient(create_app(changed, engine)) as opened:
        yield opened


def me(client, token: str):
    return client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.slow
@pytest.mark.parametrize(("kid", "algorithm"), [("rsa", "RS256"), ("ec", "ES256")])
def test_a_token_says_who_and_what(client, issuer, kid, algorithm):
    found = me(client, issuer.token(kid, algorithm, areas=["here"])).json()
    assert found["actor"] == "oidc:ana"
    assert found["roles"] == ["analyst", "reader"]
    assert found["regions"] == ["here"]


def test_its_roles_and_regions_hold(client, issuer):
    headers = {"Authorization": f"Bearer {issuer.token(areas='here')}"}
    assert client.get("/v1/regions/here/incidents", headers=headers).status_code == 200
    assert client.get("/v1/regions/there/incidents", headers=headers).status_code == 403
    assert client.post("/v1/regions", headers=headers, json={}).status_code == 403
    nobody = me(client, issuer.token(realm=None))
    assert (nobody.status_code, nobody.json()["code"]) == (403, "forbidden")
    nowhere = {"Authorization": f"Bearer {issuer.token()}"}
    assert client.get("/v1/regions/here", headers=nowhere).status_code == 403


def test_without_a_token_nobody_gets_in_even_from_here(client):
    assert client.get("/v1/me").status_code == 401


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens that look good and are not."""
    now = int(time.time())
    stranger = rsa.generate_private_key(65537, 2048)
    public = (
        issuer.private["rsa"]
        .public_key()
        .public_bytes(  # type: ignore[attr-defined]
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    head, body, signature = issuer.token().split(".")
    # What a library that trusts the header's algorithm would take: HMAC keyed by the public key.
    fake = _base64(b'{"alg":"HS256","kid":"rsa"}') + "." + body
    mac = _base64(hmac.digest(public, fake.encode(), "sha256"))
    admin = issuer.token(realm={"roles": ["police-admins"]}, key=stranger).split(".")[1]
    return {
        "expired": issuer.token(exp=now - 60),
        "for another": issuer.token(aud="other"),
        "from another": issuer.token(iss="https://elsewhere.example"),
        "no subject": issuer.token(sub=None),
        "no expiry": issuer.token(exp=None),
        "not yet": issuer.token(nbf=now + 600),
        "stranger's signature": issuer.token(key=stranger),
        "unsigned": jwt.encode(jwt.decode(issuer.token(), options={"verify_signature": False}), "",
                               "none", headers={"kid": "rsa"}),
        "public key as secret": f"{fake}.{mac}",
        "other body": f"{head}.{admin}.{signature}",
        "no signature": f"{head}.{body}.",
        "unknown key": issuer.token("rsa").replace(head, jwt.encode(
            {}, issuer.private["rsa"], "RS256", headers={"kid": "nobody"}).split(".")[0]),
        "strange subject": issuer.token(sub="a\x00b"),
        "nothing": "a.b.c",
        "too long": "a" * 20_000,
    }  # fmt: skip


def test_no_other_token_is_taken(client, issuer):
    for why, token in forged(issuer).items():
        reply = me(client, token)
        assert reply.status_code == 401, why
        assert reply.json()["code"] in ("bad_token", "bad_key")


def test_new_signing_keys_are_found_but_not_asked_for_all_the_time(client, issuer, monkeypatch):
    issuer.publish("next", rsa.generate_private_key(65537, 2048), "RS256")
    verifier = client.app.state.gate.tokens
    verifier._keys_asked_at = float("-inf")
    assert me(client, issuer.token("next")).status_code == 200
    asked = len(issuer.asked)
    unknown = issuer.token("rsa", key=issuer.private["rsa"])
    head = jwt.encode({}, issuer.private["rsa"], "RS256", headers={"kid": "?"}).split(".")[0]
    for n in range(5):
        assert me(client, f"{head}.{unknown.split('.')[1]}.{n}").status_code == 401
    assert len(issuer.asked) == asked


def test_a_remembered_token_ends_when_it_expires(client, issuer, monkeypatch):
    token = issuer.token(areas="here")
    assert me(client, token).status_code == 200
    later = time.time() + 301 + oidc.CLOCK_SKEW_S
    monkeypatch.setattr(oidc.time, "time", lambda: later)
    assert client.app.state.gate.tokens.cached(token) is None


def test_an_issuer_that_is_away_is_not_the_callers_fault(engine, settings):
    changed = settings.model_copy(
        update={"oidc_issuer": "http://127.0.0.1:9", "oidc_audience": AUDIENCE}
    )
    key = rsa.generate_private_key(65537, 2048)
    token = jwt.encode({"sub": "x"}, key, "RS256", headers={"kid": "a"})
    with TestClient(create_app(changed, engine)) as client:
        assert me(client, token).status_code == 503


@pytest.mark.parametrize(
    "changes",
    [
        {"oidc_issuer": "https://id.example"},
        {"oidc_issuer": "http://id.example", "oidc_audience": "x"},
        {
            "oidc_issuer": "https://id.example",
            "oidc_audience": "x",
            "oidc_jwks_url": "http://id.example",
        },
    ],
)
def test_settings_that_would_let_anyone_in_are_refused(settings, changes):
    with pytest.raises(InvalidInput):
        TokenVerifier(settings.model_copy(update=changes))
