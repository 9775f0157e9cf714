"""Connect to sources: to addresses that were checked, directly or through the operator's proxy.

A proxy would resolve names itself, and nobody could check what it finds. So it is asked for the addresses
that were checked here; only hosts that an operator names in `HOTSLOT_SOURCE_HOSTS` are left to it by name.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from app.core.errors import SourceFailed
from app.core.roles import is_loopback
from app.core.settings import Settings
from app.sync.connectors.address import (
    in_networks,
    is_named,
    plain_address,
    public_addresses,
)

MAX_ANSWER_BYTES = 16_384
RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")


@dataclass(frozen=True)
class Route:
    """Hosts or addresses to try one after the other, and whether the proxy is asked for them."""

    targets: Sequence[str]
    proxied: bool


def route_to(host: str, port: int, settings: Settings) -> Route:
    """Decide how a host is reached.

    Raises:
        SourceFailed: its addresses are not allowed, or unknown here and it is not left to the proxy.
    """
    named = is_named(host, settings.source_hosts)
    try:
        addresses = public_addresses(
            host,
            port,
            allow_loopback=settings.sync_allow_loopback,
            allowed=settings.allowed_sources,
        )
    except SourceFailed as refusal:
        if (
            refusal.code != "unknown_host"
            or settings.source_proxy is None
            or _is_direct(host, [], settings.source_no_proxy)
        ):
            raise
        if not named:
            raise SourceFailed(
                f"{host}: no address is known here; name it in HOTSLOT_SOURCE_HOSTS to let the "
                "proxy resolve it",
                code="unknown_host",
            ) from refusal
        addresses = []
    if settings.source_proxy is None or _is_direct(host, addresses, settings.source_no_proxy):
        return Route(addresses, proxied=False)
    return Route([host] if named else addresses, proxied=True)


def _is_direct(host: str, addresses: Sequence[str], no_proxy: Sequence[str]) -> bool:
    """Return whether a host is reached without the proxy: by its name, its domain or all addresses."""
    name = host.casefold()
    for one in map(str.casefold, no_proxy):
        domain = one.removeprefix(".")
        if name == domain or name.endswith(f".{domain}"):
            return True
    known = [address for address in map(plain_address, addresses) if address is not None]
    return bool(known) and all(
        is_loopback(str(address)) or in_networks(address, no_proxy) for address in known
    )


class SourceNetwork(httpcore.SyncBackend):
    """Connect to the checked addresses themselves, since a second lookup could resolve differently.

    Args:
        tls: for a proxy that is itself reached by https.
    """

    def __init__(self, settings: Settings, tls: ssl.SSLContext) -> None:
        self.settings = settings
        self.tls = tls

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the first address that answers.

        Raises:
            SourceFailed: as `route_to`; or the proxy refuses.
        """
        route = route_to(host, port, self.settings)
        connect = self._through_proxy if route.proxied else super().connect_tcp
        *others, last = route.targets
        for target in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError):
                return connect(target, port, *args, **options)
        return connect(last, port, *args, **options)

    def _through_proxy(
        self, target: str, port: int, timeout: float | None = None, **options: Any
    ) -> httpcore.NetworkStream:
        assert self.settings.source_proxy is not None  # noqa: S101 - by route_to
        proxy = httpx.URL(self.settings.source_proxy.get_secret_value())
        proxy_port = proxy.port or (443 if proxy.scheme == "https" else 80)
        stream = super().connect_tcp(proxy.host, proxy_port, timeout=timeout, **options)
        try:
            if proxy.scheme == "https":
                stream = stream.start_tls(self.tls, proxy.host, timeout)
            stream.write(_connect_request(target, port, proxy), timeout)
            _require_tunnel(_answer(stream, timeout), proxy.host)
        except BaseException:
            stream.close()
            raise
        return stream


def _connect_request(target: str, port: int, proxy: httpx.URL) -> bytes:
    place = f"[{target}]:{port}" if ":" in target else f"{target}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", "User-Agent: hotslot"]
    if proxy.userinfo:
        secret = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    return "\r\n".join([*lines, "", ""]).encode()


def _answer(stream: httpcore.NetworkStream, timeout: float | None) -> bytes:
    """Read a proxy's answer up to its empty line and no further: a server may speak first (SSH does)."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        part = stream.read(1, timeout)
        answer += part
        if not part or len(answer) > MAX_ANSWER_BYTES:
            return b""
    return answer


def _require_tunnel(answer: bytes, host: str) -> None:
    found = _STATUS.match(answer)
    status = int(found[1]) if found else 0
    if found is None or status in RETRIED_STATUS:
        said = f"answers with status {status}" if found else "does not answer as one"
        raise httpcore.ProxyError(f"the proxy {host} {said}")
    if not 200 <= status < 300:
        reason = "it wants another user or password" if status == 407 else "it refuses this host"
        raise SourceFailed(
            f"the proxy {host} answers with status {status}: {reason}", code="proxy_refused"
        )


class SourceTransport(httpx.HTTPTransport):
    """Speak HTTP over `SourceNetwork`; httpx itself offers no hook for a custom network backend."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(trust_env=False)
        tls = tls_context(settings)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls, network_backend=SourceNetwork(settings, tls)
        )


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return what certificates are trusted: the public authorities, and the operator's own."""
    tls = httpx.create_ssl_context(trust_env=False)
    if settings.source_ca_file is not None:
        tls.load_verify_locations(cafile=settings.source_ca_file)
    return tls
