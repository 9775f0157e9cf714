"""Restrict sources to https addresses on the public internet."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpcore
import httpx

from app.core.errors import InvalidInput, SourceFailed

MAX_URL_CHARS = 2000
MAX_PORT = 65_535
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*names: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, names))


PUBLIC = {4: _networks("0.0.0.0/0"), 6: _networks("2000::/3")}
NOT_PUBLIC = {
    4: _networks(
        "192.0.0.0/24",  # protocol assignments, DNS64 discovery among them
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.175.48.0/24",  # AS112
    ),
    6: _networks(
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    ),
}
"""Networks that Python 3.11 wrongly considers global, or that embed IPv4 addresses."""


def checked_url(url: str, *, allow_loopback: bool) -> httpx.URL:
    """Parse an address and check its form; its host is checked on connection.

    Raises:
        InvalidInput: not https (or http to this machine if a setting allows it), or with a password.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidInput(f"not a URL: {error}", field="url") from error
    if len(url) > MAX_URL_CHARS or not parsed.host:
        raise InvalidInput(
            f"a URL must name a host and have at most {MAX_URL_CHARS} characters", field="url"
        )
    if parsed.userinfo:
        raise InvalidInput(
            "a URL must not contain a user or password; name a token instead", field="url"
        )
    if parsed.port is not None and not 0 < parsed.port <= MAX_PORT:
        raise InvalidInput(f"port {parsed.port} does not exist", field="url")
    plain = parsed.scheme == "http" and allow_loopback and _loopback(parsed.host)
    if parsed.scheme != "https" and not plain:
        raise InvalidInput("a source's address must start with https://", field="url")
    return parsed


def public_addresses(
    host: str, port: int, *, allow_loopback: bool, allowed: Sequence[str] = ()
) -> list[str]:
    """Resolve a host to addresses that may be connected to.

    Raises:
        SourceFailed: any of them is private, local, reserved or embeds another; or there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceFailed(f"{host}: no address ({error})", code="unknown_host") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check_address(address, host, allow_loopback=allow_loopback, allowed=allowed)
    return addresses


class PublicNetwork(httpcore.SyncBackend):
    """Connect to the checked addresses themselves, since a second lookup could resolve differently."""

    def __init__(self, *, allow_loopback: bool, allowed: Sequence[str] = ()) -> None:
        self.allow_loopback = allow_loopback
        self.allowed = allowed

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the first address that answers.

        Raises:
            SourceFailed: as `public_addresses`.
        """
        *others, last = public_addresses(
            host, port, allow_loopback=self.allow_loopback, allowed=self.allowed
        )
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return super().connect_tcp(address, port, *args, **options)
        return super().connect_tcp(last, port, *args, **options)


class PublicTransport(httpx.HTTPTransport):
    """Speak HTTP over `PublicNetwork`; httpx itself offers no hook for a custom network backend."""

    def __init__(self, *, allow_loopback: bool, allowed: Sequence[str] = ()) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            network_backend=PublicNetwork(allow_loopback=allow_loopback, allowed=allowed),
        )


def check_address(
    text: str, host: str, *, allow_loopback: bool, allowed: Sequence[str] = ()
) -> None:
    """Raise unless an address is on the public internet, or allowed by host name or network.

    Raises:
        SourceFailed: such an address.
    """
    address = _plain(text)
    if address is not None and (_is_public(address) or (allow_loopback and address.is_loopback)):
        return
    if address is not None and _is_allowed(address, host, allowed):
        return
    raise SourceFailed(
        f"{host} is not a public address: refused; an operator can allow it in HOTSLOT_SOURCE_HOSTS",
        code="private_address",
    )


def _is_allowed(address: Address, host: str, allowed: Sequence[str]) -> bool:
    """Return whether an operator allows this exact host, or a network that holds the address."""
    for one in allowed:
        if one.casefold() == host.casefold():
            return True
        with suppress(ValueError):
            if address in ipaddress.ip_network(one):
                return True
    return False


def _plain(text: str) -> Address | None:
    """Parse an address without a zone; one that maps IPv4 becomes that IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if not any(address in network for network in PUBLIC[address.version]):
        return False
    return not any(address in network for network in NOT_PUBLIC[address.version])


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
