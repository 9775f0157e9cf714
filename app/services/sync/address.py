"""Which addresses a source may have: https on the public internet, nothing inside one's own network."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import httpx

from app.domain.errors import InvalidInput, SourceFailed

MAX_URL_CHARS = 2000


def checked_url(url: str, *, allow_loopback: bool) -> httpx.URL:
    """The address, when its form is allowed; its host is judged when it is asked (`check_host`).

    Raises:
        InvalidInput: not https (http to this machine where a setting allows it), or with a password.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidInput(f"not a URL: {error}", field="url") from error
    if len(url) > MAX_URL_CHARS or not parsed.host:
        raise InvalidInput(
            f"a URL names a host and has up to {MAX_URL_CHARS} characters", field="url"
        )
    if parsed.userinfo:
        raise InvalidInput(
            "a URL with a user or password is refused; name a token instead", field="url"
        )
    plain = parsed.scheme == "http" and allow_loopback and _loopback(parsed.host)
    if parsed.scheme != "https" and not plain:
        raise InvalidInput("a source's address must start with https://", field="url")
    return parsed


def check_host(url: httpx.URL, *, allow_loopback: bool) -> None:
    """Refuse a host any of whose addresses is private, local or reserved.

    Raises:
        SourceFailed: such a host, or one that has no address.
    """
    try:
        found = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SourceFailed(f"{url.host}: no address ({error})", code="unknown_host") from error
    for entry in found:
        check_address(str(entry[4][0]), url.host, allow_loopback=allow_loopback)


def check_peer(response: httpx.Response, *, allow_loopback: bool) -> None:
    """The same for the address that was reached: a name may resolve anew between look-up and call.

    Raises:
        SourceFailed: the peer is not on the public internet.
    """
    stream: Any = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if peer is not None:
        check_address(str(peer[0]), response.url.host, allow_loopback=allow_loopback)


def check_address(text: str, host: str, *, allow_loopback: bool) -> None:
    """Refuse one address (see `check_host`)."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_global and not address.is_multicast:
        return
    if allow_loopback and address.is_loopback:
        return
    raise SourceFailed(f"{host} is no public address: refused", code="private_address")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
