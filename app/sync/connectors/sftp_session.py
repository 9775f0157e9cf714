"""A session with an SFTP server, whose key must be the one that the administrator stated."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import stat
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar, cast

import asyncssh
import httpcore

from app.core.errors import SourceFailed
from app.readers.files.decoding import READ_BYTES
from app.sync.connectors.drops import MAX_FILES, DroppedFile
from app.sync.connectors.network import SourceNetwork, tls_context
from app.sync.connectors.portal import CONNECT_TIMEOUT_S
from app.sync.connectors.sftp import SftpAddress
from app.sync.connectors.visit import NAP_S, Broken, Visit

HOST_KEYS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
"""Kinds of keys, asked for one after the other, since a server has several and shows one of them.

No certificates: they would have no fingerprint to compare.
"""
NS_PER_S = 1_000_000_000
T = TypeVar("T")
logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it logs each connection


class _Pinned(asyncssh.SSHClient):
    """Accepts the server's key by its fingerprint alone."""

    def __init__(self, host_key: str) -> None:
        self.wanted = host_key.rstrip("=")
        self.shown: list[str] = []

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Return whether this is the stated key."""
        self.shown.append(key.get_fingerprint().rstrip("="))
        return self.shown[-1] == self.wanted


@contextmanager
def connected(
    visit: Visit, address: SftpAddress, host_key: str, secret: tuple[str | None, bytes | None]
) -> Iterator[Session]:
    """Log in; retry what is temporary.

    Args:
        host_key: the fingerprint of the server's key, `SHA256:...`.
        secret: a password, or a private key without a passphrase.

    Raises:
        SourceFailed: the address is not allowed, the key differs, or the server refuses.
    """
    with asyncio.Runner() as runner:
        session = Session(visit, runner, address, host_key)
        options = _login(address, *secret)
        try:
            visit.tried(lambda: session.open(options))
            yield session
        finally:
            session.close()


def _login(address: SftpAddress, password: str | None, key: bytes | None) -> dict[str, Any]:
    """Return the options of the login: nothing of this machine's own SSH configuration is used."""
    try:
        keys = [asyncssh.import_private_key(key)] if key is not None else None
    except (asyncssh.KeyImportError, ValueError) as error:
        raise SourceFailed(
            "the source's token is no private key without a passphrase", code="token"
        ) from error
    return {
        "username": address.user,
        "password": password,
        "client_keys": keys,
        "public_key_auth": keys is not None,
        "password_auth": password is not None,
        "kbdint_auth": password is not None,
        "host_based_auth": False,
        "gss_host": None,
        "disable_trivial_auth": True,
        "agent_path": None,
        "config": None,
        "known_hosts": ([], [], []),  # an empty value would mean the user's own file
        "x509_trusted_certs": None,
        "compression_algs": None,
    }


class Session:
    """A folder behind SFTP; each call runs the event loop until the server has answered."""

    def __init__(
        self, visit: Visit, runner: asyncio.Runner, address: SftpAddress, host_key: str
    ) -> None:
        self._visit = visit
        self._runner = runner
        self._address = address
        self._pinned = _Pinned(host_key)
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    def open(self, options: dict[str, Any]) -> None:
        """Connect and log in.

        Raises:
            Broken: a temporary failure.
            SourceFailed: any other.
        """
        self.close()
        self._pinned.shown.clear()
        if not any(self._enters(options, kinds) for kinds in HOST_KEYS):
            keys = " and ".join(self._pinned.shown)
            reason = (
                f"has the key {keys}, not the one stated with --host-key; ask its operator which is right"
                if keys
                else "and hotslot have no kind of key or cipher in common"
            )
            raise SourceFailed(f"{self._address.host} {reason}", code="host_key")

    def _enters(self, options: dict[str, Any], kinds: Sequence[str]) -> bool:
        """Log in, unless the server's key of these kinds is not the stated one, or it has none."""
        timeout_s = self._visit.settings.sync_request_timeout_s
        more = {"login_timeout": timeout_s, "server_host_key_algs": list(kinds)}
        n_shown = len(self._pinned.shown)
        try:
            with self._socket() as connected_socket:
                self._do(self._enter(connected_socket, {**options, **more}))
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
            return False
        except asyncssh.PermissionDenied as error:
            raise SourceFailed(
                f"{self._address.host} refuses the user or the token", code="token"
            ) from error
        except (asyncssh.ConnectionLost, OSError, TimeoutError) as error:
            # A server that has no such key may close the connection before its refusal is read.
            if n_shown == len(self._pinned.shown) > 0 and not isinstance(error, TimeoutError):
                return False
            raise Broken(str(error) or "the SFTP server does not answer") from error
        except asyncssh.Error as error:
            raise SourceFailed(f"the SFTP server refuses: {error.reason}") from error
        return True

    @contextmanager
    def _socket(self) -> Iterator[socket.socket]:
        """Connect to a checked address, directly or through the proxy; close it on failure."""
        settings = self._visit.settings
        network = SourceNetwork(settings, tls_context(settings))
        try:
            stream = network.connect_tcp(
                self._address.host, self._address.port, timeout=CONNECT_TIMEOUT_S
            )
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProxyError) as error:
            raise Broken(str(error) or type(error).__name__) from error
        found: socket.socket = stream.get_extra_info("socket")
        if stream.get_extra_info("ssl_object") is not None:
            stream.close()
            raise SourceFailed(
                "SFTP cannot pass a proxy that is reached by https; name the host in "
                "HOTSLOT_SOURCE_NO_PROXY",
                code="proxy_refused",
            )
        found.setblocking(False)
        try:
            yield found
        except BaseException:
            if self._connection is None:  # which would own it
                found.close()
            raise

    async def _enter(self, connected_socket: socket.socket, options: dict[str, Any]) -> None:
        self._connection = await asyncssh.connect(
            self._address.host,
            self._address.port,
            sock=connected_socket,
            client_factory=lambda: self._pinned,
            **options,
        )
        self._sftp = await self._connection.start_sftp_client(path_errors="surrogateescape")

    def close(self) -> None:
        """End the session, without waiting for a server that does not answer."""
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.abort()
            with suppress(Exception):
                self._runner.run(asyncio.wait_for(connection.wait_closed(), NAP_S))

    def list(self) -> Sequence[DroppedFile]:
        """List the folder, at most one entry more than is allowed."""
        return self._asked(self._list())

    async def _list(self) -> Sequence[DroppedFile]:
        assert self._sftp is not None  # noqa: S101 - opened by `connected`
        found: list[DroppedFile] = []
        async for entry in self._sftp.scandir(self._address.path):
            if entry.filename not in (".", ".."):
                found.append(_listed(str(entry.filename), entry.attrs))
            if len(found) > MAX_FILES:
                break
        return found

    def copy(self, dropped: DroppedFile, into: IO[bytes], max_bytes: int) -> str | None:
        """Copy a file; return its SHA-256, or None if it is no longer what was listed."""
        if dropped.size > max_bytes:
            raise SourceFailed(f"{dropped.name} is over {max_bytes} bytes", code="too_large")
        path = f"{self._address.path.rstrip('/')}/{dropped.name}"
        digest = hashlib.sha256()
        try:
            file = self._asked(self._open(path))
        except SourceFailed as error:
            if isinstance(error.__cause__, asyncssh.SFTPNoSuchFile):
                return None
            raise
        copied = 0
        while copied < dropped.size:
            chunk = self._asked(_read(file, min(READ_BYTES, dropped.size - copied), copied))
            if not chunk:
                break
            copied += len(chunk)
            digest.update(chunk)
            into.write(chunk)
        same = _listed(dropped.name, self._asked(file.stat())) == dropped
        self._asked(file.close())
        into.seek(0)
        return digest.hexdigest() if same and copied == dropped.size else None

    async def _open(self, path: str) -> asyncssh.SFTPClientFile:
        assert self._sftp is not None  # noqa: S101 - opened by `connected`
        return await self._sftp.open(path, "rb")

    def _asked(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._do(work)
        except (asyncssh.Error, asyncssh.SFTPError, OSError, TimeoutError) as error:
            reason = getattr(error, "reason", "") or str(error) or "it does not answer"
            raise SourceFailed(f"the SFTP server broke off or refused: {reason}") from error

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(self._watched(work))

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer, showing that the run is alive.

        Raises:
            TimeoutError: there is none within the time limit of a request.
        """
        until = time.monotonic() + self._visit.settings.sync_request_timeout_s
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=NAP_S)
                self._visit.check()
                if not task.done() and time.monotonic() > until:
                    raise TimeoutError("the SFTP server does not answer")
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=NAP_S)


async def _read(file: asyncssh.SFTPClientFile, n_bytes: int, offset: int) -> bytes:
    return cast(bytes, await file.read(n_bytes, offset))  # opened as binary


def _listed(name: str, attrs: asyncssh.SFTPAttrs) -> DroppedFile:
    plain = attrs.permissions is not None and stat.S_ISREG(attrs.permissions)
    plain = plain or attrs.type == asyncssh.FILEXFER_TYPE_REGULAR
    changed = (attrs.mtime or 0) * NS_PER_S + (attrs.mtime_ns or 0)
    return DroppedFile(name, attrs.size or 0, int(changed), plain)
