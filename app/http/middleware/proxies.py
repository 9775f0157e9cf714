"""What a proxy in front changes: the path prefix, and scheme, host and address as its clients see them.

Inner layers see paths without the prefix, whether the proxy removes it or passes it on; addresses in
replies get it back from `app.http.links`. Forwarded headers count only from trusted addresses: from
anyone else they are what the sender likes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.setting_values import check_root_path

PREFIX = "hotslot.prefix"
"""Key of the scope: the path under which clients reach this service, such as `/hotslot`; or empty."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
MAX_HOPS = 32


class Proxies:
    """Apply the root path and the headers of trusted proxies; the outermost layer.

    Args:
        app: the application.
        root_path: prefix of all paths, such as `/hotslot`, unless a proxy names one.
        trusted: networks of proxies whose headers count.
    """

    def __init__(self, app: ASGIApp, root_path: str, trusted: Sequence[str]) -> None:
        self.app = app
        self.root_path = root_path
        self.trusted = tuple(ipaddress.ip_network(network) for network in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        prefix = self.root_path
        client = scope.get("client")
        if client and is_in(client[0], self.trusted):
            prefix = self._forwarded(scope) or prefix
        path: str = scope["path"]
        scope[PREFIX] = prefix
        if prefix and path == prefix:
            await _redirect(f"{prefix}/", send)
            return
        if prefix and path.startswith(f"{prefix}/"):
            scope["path"] = path[len(prefix) :]
            scope.pop("raw_path", None)
        await self.app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> str | None:
        """Apply a trusted proxy's headers to the scope; return the prefix that it names."""
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        scheme = _nearest(given.get(b"x-forwarded-proto", "")).lower()
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        host = _nearest(given.get(b"x-forwarded-host", ""))
        if _HOST.fullmatch(host):
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [*others, (b"host", host.encode())]
        origin = self._origin(given.get(b"x-forwarded-for", ""))
        if origin is not None:
            scope["client"] = (origin, 0)
        try:
            return check_root_path(_nearest(given.get(b"x-forwarded-prefix", ""))) or None
        except ValueError:
            return None

    def _origin(self, forwarded_for: str) -> str | None:
        """Return the last address of the chain that is no trusted proxy; what is before it may be made up."""
        for hop in reversed(forwarded_for.split(",")[-MAX_HOPS:]):
            address = _address(hop)
            if address is None:
                return None
            if not is_in(address, self.trusted):
                return address
        return None


def _nearest(value: str) -> str:
    """Return the last member of a list, which the nearest proxy has written."""
    return value.rpartition(",")[2].strip()


def _address(hop: str) -> str | None:
    """Return the IP address of a hop, without a port.

    >>> _address(" [2001:db8::7]:4711"), _address("192.0.2.7:80"), _address("unknown")
    ('2001:db8::7', '192.0.2.7', None)
    """
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def is_in(host: str, networks: tuple[Network, ...]) -> bool:
    """Return whether a host is an IP address in one of the networks."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)


async def _redirect(path: str, send: Send) -> None:
    headers = [(b"location", path.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
