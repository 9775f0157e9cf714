"""Values of settings: where the home is by default, and what a text must be."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.core.cron import check_cron
from app.core.errors import InvalidInput


def default_home() -> Path:
    """Return `/var/lib/hotslot` for root, otherwise the user's data folder.

    A user without one, as containers with any user id have, gets `temporary_home`.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/hotslot")
    data = os.environ.get("XDG_DATA_HOME")
    if data and sys.platform != "darwin":
        return Path(data) / "hotslot"
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor an entry in passwd
        return temporary_home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "hotslot"
    return home / ".local" / "share" / "hotslot"


def automatic(value: Any) -> Any:
    """Return 0 for `auto`, which is its other name; anything else as it is."""
    return 0 if value == "auto" else value


def temporary_home() -> Path:
    """Return the folder for files that may be lost: heartbeats, caches, unfinished backtests."""
    return Path(tempfile.gettempdir()) / f"hotslot-{os.geteuid()}"


def can_be_made(home: Path) -> bool:
    """Return whether this user can write a folder, or create it."""

    def may(path: Path, mode: int) -> bool:
        return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)

    # `exists` would raise for what lies in a folder closed to this user.
    there = next((p for p in (home, *home.parents) if may(p, os.F_OK)), Path("/"))
    return may(there, os.W_OK | os.X_OK)


def is_ours(home: Path) -> bool:
    """Return whether a folder in a place that everyone may write is this user's, or not there."""
    return not home.is_symlink() and (not home.exists() or home.stat().st_uid == os.geteuid())


def tiles_url(value: str) -> str:
    """Return the address of map tiles.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(value)
    plain_host = re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?", parts.netloc)
    holes = all(hole in value for hole in ("{z}", "{x}", "{y}"))
    if parts.scheme not in ("http", "https") or not plain_host or not holes:
        raise ValueError("a tile URL is http(s)://HOST/... with {z}, {x} and {y}")
    return value


def origin(value: str) -> str:
    """Return an origin of web pages.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", value):
        raise ValueError("an origin is http(s)://HOST or http(s)://HOST:PORT")
    return value


def cron(value: str) -> str:
    """Return a cron expression.

    Raises:
        ValueError: it matches no time.
    """
    try:
        return check_cron(value)
    except InvalidInput as error:
        raise ValueError(
            "must be a cron expression of five fields that matches some time"
        ) from error


def days_of_reads(value: int) -> int:
    """Return after how many days entries of reads are deleted.

    Raises:
        ValueError: less than a week, which the audit log refuses, and not 0.
    """
    if value and value < 7:
        raise ValueError("entries of reads stay at least 7 days in the audit log; 0: for ever")
    return value


_OWN_PATHS = frozenset(
    ("basemap", "docs", "healthz", "metrics", "ogc", "openapi.json", "readyz", "static", "v1")
)


def check_root_path(value: str) -> str:
    """Return a path prefix without a slash at its end.

    Raises:
        ValueError: it is no plain path, or begins like one of the service's own.

    >>> check_root_path("/maps/hotslot/"), check_root_path("/")
    ('/maps/hotslot', '')
    """
    path = value.rstrip("/")
    parts = path.split("/")[1:]
    if path and (
        not re.fullmatch(r"(/[A-Za-z0-9._~-]{1,100}){1,10}", path) or {".", ".."} & set(parts)
    ):
        raise ValueError("a root path is like /hotslot: letters, digits and -._~ between slashes")
    if parts and parts[0] in _OWN_PATHS:
        raise ValueError(f"a root path cannot begin with /{parts[0]}, which is one of hotslot's")
    return path


def network(value: str) -> str:
    """Return the network of a trusted proxy.

    Raises:
        ValueError: it is none.
    """
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(
            "a trusted proxy is an address or a network, such as 10.1.0.0/16"
        ) from error


def not_empty(home: Any) -> Any:
    """Refuse an empty path: it would make the working directory the home, and close it to others."""
    if home == "":
        raise ValueError("the home is empty: name a folder, or unset it for the default")
    return home
