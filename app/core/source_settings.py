"""Settings of sources: which hosts they may have, and how these are reached."""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings

PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
            *("fc00::/7", "::1/128"),
        ),
    )
)
"""What may be allowed as a network; a wider one, such as 0.0.0.0/0, would switch the checks off."""
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data.ec2.internal"})
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*")
MAX_HOST_CHARS = 253


def source_network(value: str) -> str:
    """Return a private network.

    Raises:
        ValueError: it is none, or also holds other addresses.
    """
    try:
        found = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(
            f"{value!r} is not a network such as 10.1.0.0/16, without bits beyond its length"
        ) from error
    inside = any(
        found.version == one.version and found.subnet_of(one)  # type: ignore[arg-type]
        for one in PRIVATE
    )
    if not inside:
        raise ValueError(f"{value} is not within a private network")
    return str(found)


def source_host(value: str) -> str:
    """Return a host name, or an address or network in a private network.

    Raises:
        ValueError: it is none of these, or the name of a cloud's metadata service.
    """
    if re.search(r"[:/]|(^|\.)\d+$", value) and "://" not in value:  # no name ends in a number
        return source_network(value)
    if not _HOST.fullmatch(value) or len(value) > MAX_HOST_CHARS:
        raise ValueError(f"{value!r} is not a host name, an address or a network")
    if value.casefold() in METADATA_NAMES:
        raise ValueError(f"{value} is a cloud's metadata service, which is never a source")
    return value


def direct_host(value: str) -> str:
    """Return a host name, a domain such as `.city.example`, an address or a network.

    Raises:
        ValueError: it is none of these.
    """
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        if not _HOST.fullmatch(value.removeprefix(".")):
            raise ValueError(f"{value!r} is not a host, a domain or a network") from None
        return value


def proxy_url(value: SecretStr) -> SecretStr:
    """Return the address of a proxy.

    Raises:
        ValueError: it is none; the message does not repeat it, since it may hold a password.
    """
    try:
        parts = urlsplit(value.get_secret_value())
        plain = parts.path in ("", "/") and not parts.query and not parts.fragment
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and plain
    except ValueError:
        right = False
    if not right:
        raise ValueError("a proxy is http(s)://HOST:PORT or http(s)://USER:PASSWORD@HOST:PORT")
    return value


def ca_file(path: Path) -> Path:
    """Return a file of certificates.

    Raises:
        ValueError: it cannot be read, or holds no certificate.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "is not there" if isinstance(error, FileNotFoundError) else "has no certificate"
        raise ValueError(f"{path} {reason}; a file of PEM certificates is needed") from error
    if not context.cert_store_stats()["x509"]:
        raise ValueError(f"{path} has no certificate; a file of PEM certificates is needed")
    return path


def drop_root(path: Path) -> Path:
    """Return a folder's absolute path.

    Raises:
        ValueError: it is relative, or the root of the file system.
    """
    if not path.is_absolute() or path == Path("/"):
        raise ValueError("must be the absolute path of a folder for incoming files")
    return path


class SourceSettings(BaseSettings):
    """What the operator of the machine allows sources; nothing of it can be set over HTTP."""

    sync_tokens: dict[str, SecretStr] = {}
    """App tokens of open-data portals by name: `{"chicago": "..."}`; a source stores only the name."""
    sync_allow_loopback: bool = False
    """Allow sources on this machine, also by plain http: for tests and local mirrors."""
    source_hosts: list[Annotated[str, AfterValidator(source_host)]] = []
    """Hosts of sources in a private network: exact names, addresses, or networks such as 10.1.0.0/16."""
    source_networks: list[Annotated[str, AfterValidator(source_network)]] = []
    """Private networks in which sources may lie."""
    source_proxy: Annotated[SecretStr, AfterValidator(proxy_url)] | None = None
    """Proxy for connections to sources: `http(s)://USER:PASSWORD@HOST:PORT`."""
    source_no_proxy: list[Annotated[str, AfterValidator(direct_host)]] = []
    """Hosts, domains (`.city.example`), addresses and networks that are reached without the proxy."""
    source_ca_file: Annotated[Path, AfterValidator(ca_file)] | None = None
    """PEM certificates of further authorities that sources' certificates may come from."""
    source_folder: Annotated[Path, AfterValidator(drop_root)] | None = None
    """Folder below which sources may be drop folders (`folder:NAME`)."""
    source_settle_s: float = 5.0
    """Between two looks at a dropped file: it is read if nothing of it has changed."""
    sync_request_timeout_s: float = 30.0
    sync_deadline_s: float = 6 * 3600.0
    """Of one run; the next continues where it stopped."""
    sync_max_retries: int = 5
    sync_backoff_s: float = 1.0
    """Before the first retry; doubled each time, at most `sync_max_wait_s`."""
    sync_max_wait_s: float = 120.0
    sync_max_page_bytes: int = 128 << 20
    sync_max_archive_bytes: int = 4 << 30
    sync_tick_s: float = 30.0
    """How often a worker looks for sources that are due."""

    @property
    def allowed_sources(self) -> list[str]:
        """Names and networks that may be private."""
        return [*self.source_hosts, *self.source_networks]
