"""Restrict sources to https addresses on the public internet."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress

import httpx

from app.core.errors import InvalidInput, SourceFailed
from app.core.roles import is_loopback

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
NEVER = {
    4: _networks(
        "0.0.0.0/8",  # this network
        "100.100.100.200/32",  # metadata of Alibaba
        "168.63.129.16/32",  # of Azure
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "192.0.0.0/24",  # of Oracle; protocol assignments
        "224.0.0.0/3",  # multicast, reserved, broadcast
    ),
    6: _networks(
        *("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"),
        *("fd00:ec2::/32", "fd20:ce::/32", "fd00:c1::/32", "fd00:42::/32"),  # metadata of clouds
        *("fe80::/10", "ff00::/8"),  # link-local, multicast
    ),
}
"""What no setting allows: metadata services, link-local addresses, and those that embed IPv4 addresses."""
METADATA = int(ipaddress.IPv4Address("169.254.169.254"))


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
    plain = parsed.scheme == "http" and allow_loopback and is_loopback(parsed.host)
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


def check_address(
    text: str, host: str, *, allow_loopback: bool, allowed: Sequence[str] = ()
) -> None:
    """Raise unless an address is on the public internet, or allowed by host name or network.

    Raises:
        SourceFailed: such an address.
    """
    address = plain_address(text)
    if address is None or _is_never(address):
        raise SourceFailed(f"{host} is not a public address: never allowed", code="private_address")
    if _is_public(address) or (allow_loopback and address.is_loopback):
        return
    if _is_allowed(address, host, allowed):
        return
    raise SourceFailed(
        f"{host} is not a public address: refused; an operator can allow it in HOTSLOT_SOURCE_HOSTS "
        "or HOTSLOT_SOURCE_NETWORKS",
        code="private_address",
    )


def in_networks(address: Address, names: Sequence[str]) -> bool:
    """Return whether one of these is a network that holds an address; host names are passed over."""
    for one in names:
        with suppress(ValueError):
            if address in ipaddress.ip_network(one):
                return True
    return False


def is_named(host: str, names: Sequence[str]) -> bool:
    """Return whether a host is one of these, by its exact name."""
    return host.casefold() in map(str.casefold, names)


def _is_allowed(address: Address, host: str, allowed: Sequence[str]) -> bool:
    """Return whether an operator allows this exact host, or a network that holds the address.

    A name alone does not allow this machine: whoever answers for the name could otherwise lead inside.
    """
    return in_networks(address, allowed) or (is_named(host, allowed) and not address.is_loopback)


def _is_never(address: Address) -> bool:
    if address.version == 6 and (address.is_loopback or int(address) & 0xFFFFFFFF == METADATA):
        return not address.is_loopback
    return any(address in network for network in NEVER[address.version])


def plain_address(text: str) -> Address | None:
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
