"""Bearer tokens of an OpenID Connect issuer: whose they are and what they may do.

Only asymmetric signatures by the issuer's published keys count; issuer, audience, subject and expiry
are required. A token that was verified is remembered for at most a minute.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from app.config import Settings
from app.domain.access import Caller, Role, is_loopback, with_included
from app.domain.errors import InvalidInput, Unauthenticated, Unavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
CLOCK_SKEW_S = 30
REMEMBERED_S = 60.0
MAX_REMEMBERED = 1024
MAX_TOKEN_CHARS = 16_384
KEYS_MAX_AGE_S = 3600.0
KEYS_MIN_AGE_S = 10.0
"""A token that names an unknown signing key has the keys read again, but not more often than this."""
FETCH_TIMEOUT_S = 5.0
MAX_SUBJECT_CHARS = 200
_log = logging.getLogger("hotslot.access")


class TokenVerifier:
    """Verifies tokens in a thread of its own.

    Raises:
        InvalidInput: the issuer is set without an audience, or an address is not https.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.oidc_issuer is None or not settings.oidc_audience:
            raise InvalidInput("HOTSLOT_OIDC_ISSUER needs HOTSLOT_OIDC_AUDIENCE beside it")
        self.settings = settings
        self.issuer = settings.oidc_issuer
        for address in filter(None, (settings.oidc_issuer, settings.oidc_jwks_url)):
            _require_https(address)
        self._keys: jwt.PyJWKSet | None = None
        self._keys_read_at = self._keys_asked_at = float("-inf")
        self._remembered: dict[bytes, tuple[float, Caller]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")

    def close(self) -> None:
        """End its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def remembered(self, token: str) -> Caller | None:
        """Whose token this is, if it was verified within the last minute."""
        until, caller = self._remembered.get(_digest(token), (float("-inf"), None))
        return caller if time.time() < until else None

    def verify(self, token: str) -> Future[Caller]:
        """Whose token this is.

        The future raises Unauthenticated for a token that is not good, Unavailable when the issuer's
        keys cannot be had.
        """
        return self._thread.submit(self._verify, token)

    def _verify(self, token: str) -> Caller:
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            _log.info("token refused", extra={"reason": type(error).__name__})
            raise Unauthenticated(
                "this token is not good or has expired", code="bad_token"
            ) from error
        caller = self._caller(claims)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        until = min(time.time() + REMEMBERED_S, float(claims["exp"]))
        self._remembered[_digest(token)] = (until, caller)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARS:
            raise jwt.InvalidTokenError("too long")
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError("not an algorithm that is taken")
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
        now = time.monotonic()
        found = self._find(kid) if now - self._keys_read_at < KEYS_MAX_AGE_S else None
        if found is None and now - self._keys_asked_at > KEYS_MIN_AGE_S:
            self._keys_asked_at = now
            self._keys = self._fetch_keys()
            self._keys_read_at = now
            found = self._find(kid)
        if found is None and now - self._keys_read_at >= KEYS_MAX_AGE_S:
            raise Unavailable("the issuer's signing keys cannot be read")
        if found is None:
            raise jwt.InvalidKeyError("signed by a key that the issuer does not publish")
        return found

    def _find(self, kid: object) -> jwt.PyJWK | None:
        keys = self._keys.keys if self._keys is not None else []
        if kid is None and len(keys) == 1:
            return keys[0]
        return next((key for key in keys if key.key_id == kid), None)

    def _fetch_keys(self) -> jwt.PyJWKSet:
        try:
            address = self.settings.oidc_jwks_url
            if address is None:
                discovery = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
                address = str(_get_json(discovery)["jwks_uri"])
                _require_https(address)
            return jwt.PyJWKSet.from_dict(_get_json(address))
        except (httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            _log.warning("signing keys cannot be read", extra={"reason": type(error).__name__})
            raise Unavailable("the issuer's signing keys cannot be read") from error

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


def _get_json(address: str) -> dict[str, Any]:
    reply = httpx.get(address, timeout=FETCH_TIMEOUT_S, follow_redirects=False)
    reply.raise_for_status()
    value = reply.json()
    if not isinstance(value, dict):
        raise TypeError("no JSON object")
    return value


def _require_https(address: str) -> None:
    """Keys fetched over plain HTTP could be anyone's; on loopback nobody stands between."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise InvalidInput(f"{address} must start with https://", field="oidc_issuer")


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> list[str]:
    """A claim's values: a list, or words in one text (as in `scope`)."""
    if isinstance(value, str):
        return value.split()
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
