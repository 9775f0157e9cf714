"""A folder behind SFTP: where it is, by which key the server is known, and with what we log in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.core.errors import InvalidInput, SourceFailed
from app.core.settings import Settings
from app.core.texts import shortened
from app.sync.connectors.address import MAX_PORT
from app.sync.connectors.drops import drop_pages
from app.sync.connectors.pages import Page, State
from app.sync.connectors.visit import Visit
from app.sync.spec import SourceSpec

PORT = 22
KEY_FILE = "file:"
MAX_KEY_BYTES = 65_536
_USER = re.compile(r"[A-Za-z0-9._@+\\-]{1,64}")


@dataclass(frozen=True)
class SftpAddress:
    """A folder of an SFTP server; `path` is relative to the user's home unless it begins with `/`."""

    user: str
    host: str
    port: int
    path: str


def sftp_address(url: str) -> SftpAddress:
    """Parse `sftp://USER@HOST[:PORT]/PATH`; `/~/PATH` is below the user's home.

    Raises:
        InvalidInput: it has another form, or holds a password.
    """
    try:
        parts = urlsplit(url)
        port = PORT if parts.port is None else parts.port
    except ValueError as error:
        raise InvalidInput(f"not a URL: {error}", field="url") from error
    if parts.password is not None:
        raise InvalidInput("a URL must not contain a password; name a token instead", field="url")
    path = unquote(parts.path)
    user = unquote(parts.username or "")
    right = parts.hostname and _USER.fullmatch(user) and 0 < port <= MAX_PORT
    if parts.scheme != "sftp" or not right or parts.query or parts.fragment:
        raise InvalidInput("an SFTP source is sftp://USER@HOST/FOLDER", field="url")
    if not path.isprintable() or ".." in path.split("/"):
        raise InvalidInput("the folder's path holds '..' or control characters", field="url")
    inner = path.removeprefix("/~/") if path.startswith("/~/") else path or "/"
    return SftpAddress(user, str(parts.hostname), port, inner or ".")


def secret_of(settings: Settings, spec: SourceSpec) -> tuple[str | None, bytes | None]:
    """Return the password or the private key that a source logs in with.

    Raises:
        SourceFailed: the setting `sync_tokens` has none of that name, or its file cannot be read.
    """
    token = settings.sync_tokens.get(spec.token or "")
    if token is None:
        raise SourceFailed(
            f"the setting sync_tokens has no token {shortened(spec.token or '')}", code="token"
        )
    value = token.get_secret_value()
    if value.startswith(KEY_FILE):
        try:
            with Path(value.removeprefix(KEY_FILE)).open("rb") as file:
                return None, file.read(MAX_KEY_BYTES)
        except (OSError, ValueError) as error:
            raise SourceFailed(
                f"the key file that sync_tokens names for {shortened(spec.token or '')} cannot be read",
                code="token",
            ) from error
    if value.lstrip().startswith("-----BEGIN"):
        return None, value.encode()
    return value, None


def sftp_pages(visit: Visit, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield the new files of a folder behind SFTP.

    Raises:
        SourceFailed: the address is not allowed, the server has another key, refuses or breaks off.
    """
    # Imported here because only these sources need its library.
    from app.sync.connectors.sftp_session import connected

    address, secret = sftp_address(spec.url), secret_of(visit.settings, spec)
    with connected(visit, address, str(spec.host_key), secret) as drop:
        yield from drop_pages(visit, spec, drop, state)
