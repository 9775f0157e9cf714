"""Verify bearer tokens of an OpenID Connect issuer.

Only asymmetric signatures by the issuer's published keys are accepted; issuer, audience, subject and expiry
are required. A verified token is cached for at most a minute.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from app.core.errors import InvalidInput, Unauthenticated, Unavailable
from app.core.roles import Caller, Role, is_loopback, with_included
from app.core.settings import Settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
CLOCK_SKEW_S = 30
CACHED_S = 60.0
MAX_CACHED = 1024
MAX_TOKEN_CHARS = 16_384
KEYS_REFRESH_S = 900.0
"""Older keys are refreshed in the background, so that an outage of the issuer goes unnoticed."""
KEYS_MAX_AGE_S = 3600.0
KEYS_MIN_AGE_S = 10.0
"""A token with an unknown signing key has the keys read again, but not more often than this."""
FETCH_TIMEOUT_S = 5.0
"""For discovery and keys together."""
MAX_WAITING = 64
"""Most requests that may wait for the issuer."""
MAX_DOCUMENT_BYTES = 1 << 20
MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_SUBJECT_CHARS = 200
_INVALID = (
    jwt.PyJWTError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError,
)  # fmt: skip
"""Exceptions that parsing an arbitrary token or key set may raise."""
_log = logging.getLogger("hotslot.access")


class _UnknownKey(Exception):
    """The token names a signing key that is not known."""


class TokenVerifier:
    """Verify tokens in a dedicated thread.

    Raises:
        InvalidInput: the issuer is set without an audience, or an address is not https.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.oidc_issuer is None or not settings.oidc_audience:
            raise InvalidInput("HOTSLOT_OIDC_ISSUER requires HOTSLOT_OIDC_AUDIENCE")
        self.settings = settings
        self.issuer = settings.oidc_issuer
        for address in filter(None, (settings.oidc_issuer, settings.oidc_jwks_url)):
            _require_https(address)
        self._keys: list[jwt.PyJWK] = []
        self._keys_read_at = self._keys_asked_at = float("-inf")
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None
        self._n_waiting = 0
        self._verified_tokens: dict[bytes, tuple[float, Caller]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._tls = ssl.create_default_context()

    def close(self) -> None:
        """End its thread."""
        if self._fetching is not None:
            self._fetching.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def cached(self, token: str) -> Caller | None:
        """Return the token's caller if it was verified within the last minute, else None."""
        until, caller = self._verified_tokens.get(_digest(token), (float("-inf"), None))
        return caller if time.time() < until else None

    async def verify(self, token: str) -> Caller:
        """Verify a token and return its caller.

        Tokens with a known signing key do not wait; others wait for the issuer, which is asked rarely
        and by one request at a time.

        Raises:
            Unauthenticated: the token is not valid.
            Unavailable: the issuer's keys cannot be read.
        """
        if time.monotonic() - self._keys_read_at > KEYS_REFRESH_S and self._keys:
            self._fetch()
        try:
            return await self._verified(token)
        except _UnknownKey:
            await self._read_keys()
        try:
            return await self._verified(token)
        except _UnknownKey as error:
            if self._failed or time.monotonic() - self._keys_read_at >= KEYS_MAX_AGE_S:
                raise Unavailable("the issuer's signing keys cannot be read") from error
            raise Unauthenticated(
                "signed by a key that the issuer does not publish", code="bad_token"
            ) from error

    async def _verified(self, token: str) -> Caller:
        return await asyncio.wrap_future(self._thread.submit(self._verify, token))

    def _verify(self, token: str) -> Caller:
        try:
            claims = self._claims(token)
            caller = self._caller(claims)
        except _INVALID as error:
            _log.info("token refused", extra={"reason": type(error).__name__})
            raise Unauthenticated(
                "this token is not valid or has expired", code="bad_token"
            ) from error
        if len(self._verified_tokens) >= MAX_CACHED:
            self._verified_tokens.clear()
        until = min(time.time() + CACHED_S, float(claims["exp"]))
        self._verified_tokens[_digest(token)] = (until, caller)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARS:
            raise jwt.InvalidTokenError("too long")
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError("algorithm not accepted")
        claims: dict[str, Any] = jwt.decode(
            token,
            self._signing_key(header.get("kid")),
            algorithms=list(ALGORITHMS),
            issuer=self.issuer,
            audience=self.settings.oidc_audience,
            leeway=CLOCK_SKEW_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _signing_key(self, kid: object) -> jwt.PyJWK:
        keys = self._keys if time.monotonic() - self._keys_read_at < KEYS_MAX_AGE_S else []
        if kid is None and len(keys) == 1:
            return keys[0]
        for key in keys:
            if key.key_id == kid:
                return key
        raise _UnknownKey

    async def _read_keys(self) -> None:
        """Read the issuer's keys, unless that was done a moment ago.

        Raises:
            Unavailable: too many requests wait already.
        """
        fetching = self._fetch()
        if fetching is None:
            return
        if self._n_waiting >= MAX_WAITING:
            raise Unavailable("the issuer's signing keys are being read", retry_after_s=1)
        self._n_waiting += 1
        try:
            await asyncio.shield(fetching)
        finally:
            self._n_waiting -= 1

    def _fetch(self) -> asyncio.Task[None] | None:
        """Return the reading in progress or a new one, or None if it is too early for another."""
        if self._fetching is None or self._fetching.done():
            now = time.monotonic()
            if now - self._keys_asked_at <= KEYS_MIN_AGE_S:
                return None
            self._keys_asked_at = now
            self._fetching = asyncio.create_task(self._fetch_keys())
        return self._fetching

    async def _fetch_keys(self) -> None:
        try:
            async with (
                asyncio.timeout(FETCH_TIMEOUT_S),
                httpx.AsyncClient(verify=self._tls, timeout=FETCH_TIMEOUT_S) as client,
            ):
                address = self.settings.oidc_jwks_url
                if address is None:
                    discovery = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
                    address = str((await _get_json(client, discovery))["jwks_uri"])
                    _require_https(address)
                published = await _get_json(client, address)
            keys = await asyncio.wrap_future(self._thread.submit(_usable_keys, published))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, InvalidInput, *_INVALID) as error:
            _log.warning("signing keys cannot be read", extra={"reason": type(error).__name__})
            self._failed = True
            return
        self._keys, self._failed = keys, False
        self._keys_read_at = time.monotonic()

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        subject = str(claims["sub"])
        if not 0 < len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
            raise Unauthenticated("the token's subject is not usable", code="bad_token")
        names = _texts(_claim(claims, self.settings.oidc_roles_claim))
        known = self.settings.oidc_roles
        roles: frozenset[Role] = with_included(known[name] for name in names if name in known)
        regions = None
        if self.settings.oidc_regions_claim is not None:
            regions = frozenset(_texts(_claim(claims, self.settings.oidc_regions_claim)))
        expires_at = datetime.fromtimestamp(float(claims["exp"]), UTC)
        return Caller(f"oidc:{subject}", roles, regions, expires_at)


async def _get_json(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    body = bytearray()
    plain = {"Accept-Encoding": "identity"}
    async with client.stream("GET", address, headers=plain, follow_redirects=False) as reply:
        reply.raise_for_status()
        async for chunk in reply.aiter_raw(1 << 16):
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise ValueError("document too large")
    value = json.loads(body)
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value


def _usable_keys(published: dict[str, Any]) -> list[jwt.PyJWK]:
    """Return the published keys that may sign tokens: public ones of sufficient size.

    Raises:
        ValueError: there is none, or there are too many.
    """
    if len(published["keys"]) > MAX_KEYS:
        raise ValueError("too many keys")
    found = [key for key in jwt.PyJWKSet.from_dict(published).keys if _is_usable(key)]
    if not found:
        raise ValueError("no usable key")
    return found


def _is_usable(key: jwt.PyJWK) -> bool:
    if key.public_key_use not in (None, "sig") or key.algorithm_name not in ALGORITHMS:
        return False
    return key.key_type != "RSA" or int(key.key.key_size) >= MIN_RSA_BITS


def _require_https(address: str) -> None:
    """Raise unless an address is https or on loopback: keys sent over plain HTTP could be forged."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise InvalidInput(f"{address} must start with https://", field="oidc_issuer")


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> list[str]:
    """Return a claim's values: a list, or the words of one text (as in `scope`)."""
    if isinstance(value, str):
        return value.split()
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
