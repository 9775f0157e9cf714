"""An identity provider that is slow, away, wrong or hostile; a real server asks a real one."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.access import oidc
from tests.support.services.live import Live, live

AUDIENCE = "hotslot"


def _public(kid: str, private) -> dict[str, object]:
    algorithm = "RS256" if isinstance(private, rsa.RSAPrivateKey) else "ES256"
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    return {**public, "kid": kid, "alg": algorithm, "use": "sig"}


@dataclass
class Provider:
    """What it answers, how slowly, and how often it was asked for its keys."""

    url: str = ""
    private: dict[str, object] = field(default_factory=dict)
    keys: Callable[[], bytes] = bytes
    drips: bool = False
    asked: int = 0

    def honest(self) -> bytes:
        return json.dumps(
            {"keys": [_public(kid, key) for kid, key in self.private.items()]}
        ).encode()

    def token(self, kid: str = "first", key=None, **changes) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ana", "exp": now + 300, "iat": now,
                  "roles": ["reader"]} | changes  # fmt: skip
        return jwt.encode(claims, key or self.private["first"], "ES256", headers={"kid": kid})


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider(private={"first": ec.generate_private_key(ec.SECP256R1())})
    made.keys = made.honest
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            made.asked += 1
            self.send_response(200)
            self.end_headers()
            body = made.keys()
            if made.drips:
                while made.drips and not stopped.wait(0.1):
                    self.wfile.write(b" ")
            self.wfile.write(body)

        def log_message(self, *_):
            return

        def handle(self):
            try:
                super().handle()
            except OSError:
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served(provider, settings, engine, monkeypatch) -> Iterator[Live]:
    monkeypatch.setattr(oidc, "FETCH_TIMEOUT_S", 1.0)
    monkeypatch.setattr(oidc, "KEYS_MIN_AGE_S", 0.0)
    changes = {
        "oidc_issuer": provider.url,
        "oidc_audience": AUDIENCE,
        "oidc_jwks_url": provider.url,
    }
    with live(settings, engine, **changes) as found:
        assert me(found, provider.token()) == 200
        yield found


def me(served: Live, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return served.client.get("/v1/me", headers=headers).status_code


def fresh(provider: Provider) -> str:
    """A good token that was not seen before."""
    return provider.token(jti=uuid.uuid4().hex)


def test_tokens_of_known_keys_do_not_wait_for_a_slow_issuer(served, provider, monkeypatch):
    monkeypatch.setattr(oidc, "FETCH_TIMEOUT_S", 60.0)
    provider.drips = True
    with ThreadPoolExecutor(30) as pool:
        unknown = [pool.submit(me, served, provider.token(f"kid-{n}")) for n in range(30)]
        time.sleep(0.2)
        assert [me(served, fresh(provider)) for _ in range(10)] == [200] * 10
        key = served.key("reader")
        assert served.ask("GET", "/v1/me", key).status_code == 200
        assert not all(future.done() for future in unknown), "they still wait"
        provider.drips = False
        assert {future.result() for future in unknown} <= {401, 503}
    assert provider.asked <= 1 + 3


def test_an_issuer_that_never_ends_its_answer_is_given_up(served, provider):
    provider.drips = True
    assert me(served, provider.token("unknown")) == 503
    assert me(served, fresh(provider)) == 200


@pytest.mark.slow
def test_unknown_keys_by_the_hundred_ask_the_issuer_once(served, provider, monkeypatch):
    monkeypatch.setattr(oidc, "KEYS_MIN_AGE_S", 60.0)
    before = provider.asked
    found = Counter(me(served, provider.token(f"kid-{n}")) for n in range(150))
    assert set(found) <= {401, 429}
    assert provider.asked - before <= 1
    assert me(served, fresh(provider)) == 200


def test_a_new_signing_key_is_found_by_all_who_come_with_it(served, provider):
    provider.private["second"] = ec.generate_private_key(ec.SECP256R1())
    tokens = [
        provider.token("second", provider.private["second"], sub=f"user-{n}") for n in range(40)
    ]
    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(lambda token: me(served, token), tokens)) == {200}


OCT = {
    "kty": "oct",
    "kid": "oct",
    "alg": "HS256",
    "k": base64.urlsafe_b64encode(b"k" * 32).decode(),
}
GARBAGE = {
    "no JSON": b"<html>",
    "no object": b"[]",
    "no keys": b"{}",
    "keys of another kind": b'{"keys": 7}',
    "keys that are none": b'{"keys": [1, null, {}, "x"]}',
    "a secret": json.dumps({"keys": [OCT]}).encode(),
    "nested": b'{"keys": ' + b"[" * 100_000,
    "huge": b" " * (8 << 20) + b'{"keys": []}',
    "ten thousand": json.dumps({"keys": [OCT] * 10_000}).encode(),
}


@pytest.mark.parametrize("why", GARBAGE)
def test_garbage_from_the_issuer_changes_nothing(served, provider, why):
    provider.keys = lambda: GARBAGE[why]
    secret = jwt.encode({"iss": provider.url, "aud": AUDIENCE, "sub": "eve", "exp": 2**33}, b"k" * 32,
                        "HS256", headers={"kid": "oct"})  # fmt: skip
    assert me(served, secret) == 401
    assert me(served, provider.token("unknown")) == 503
    assert me(served, fresh(provider)) == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_weak_keys_sign_nothing(served, provider):
    weak = rsa.generate_private_key(65537, 1024)
    provider.keys = lambda: json.dumps(
        {"keys": [_public("first", provider.private["first"]), _public("weak", weak)]}
    ).encode()
    claims = {"iss": provider.url, "aud": AUDIENCE, "sub": "x", "exp": int(time.time()) + 60}
    assert me(served, jwt.encode(claims, weak, "RS256", headers={"kid": "weak"})) == 401


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        _part(b"[" * 8_000) + ".e30.x",
        _part(b'{"alg":' * 1_500) + ".e30.x",
        _part(b'{"alg":["ES256"],"kid":{}}') + ".e30.x",
        _part(b'{"alg":"ES256","kid":["first"]}') + ".e30.x",
        _part(b'{"alg":"none","kid":"first"}') + ".e30.",
        _part(b"\xff\xfe") + ".e30.x",
        "..", ".", "a", "a.b.c.d.e", "=.=.=",
    ],
)  # fmt: skip
def test_what_is_no_token_is_401(served, token):
    assert me(served, token) == 401


def test_times_are_judged_with_thirty_seconds_of_grace(served, provider):
    now = int(time.time())
    cases = {
        401: [{"exp": now - 35}, {"nbf": now + 60}, {"iat": now + 90}, {"exp": 1e300},
              {"exp": float("inf")}, {"exp": float("nan")}, {"exp": "soon"}, {"exp": -1},
              {"aud": ["a", "b"]}, {"iss": f"{provider.url}/"}, {"sub": 7}, {"sub": ["x"]}],
        200: [{"exp": now - 20}, {"nbf": now + 20}, {"aud": ["a", AUDIENCE]}, {"exp": 2**31}],
        403: [{"roles": {"reader": 1}}, {"roles": 7}, {"roles": [["reader"]]}, {"roles": None}],
    }  # fmt: skip
    for expected, changes in cases.items():
        for change in changes:
            token = provider.token(jti=uuid.uuid4().hex, **change)
            assert me(served, token) == expected, change


def test_an_issuer_that_goes_away_is_noticed_by_nobody_until_its_keys_are_old(
    served, provider, monkeypatch
):
    provider.keys = lambda: b"gone"
    monkeypatch.setattr(oidc, "KEYS_REFRESH_S", 0.0)
    assert [me(served, fresh(provider)) for _ in range(5)] == [200] * 5
    monkeypatch.setattr(oidc, "KEYS_MAX_AGE_S", 0.0)
    assert me(served, fresh(provider)) == 503
    provider.keys = provider.honest
    monkeypatch.setattr(oidc, "KEYS_MAX_AGE_S", 60.0)
    assert me(served, fresh(provider)) == 200
