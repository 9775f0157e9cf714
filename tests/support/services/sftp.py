"""A real SFTP server of this machine, in a thread: one user, a password or a key, one folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

USER, PASSWORD = "rms", "secret-pass-word"


class SftpServer(asyncssh.SSHServer):
    """What the server knows, and what was tried on it."""

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    second_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    client_key = asyncssh.generate_private_key("ssh-ed25519")

    def __init__(self, root: Path, *, offers_sftp: bool) -> None:
        self.root = root
        self.offers_sftp = offers_sftp
        self.port = 0
        self.connections = 0
        self.hangs_up_at: int | None = None
        self.tried: list[str] = []

    @property
    def fingerprint(self) -> str:
        return self.host_key.get_fingerprint()

    @property
    def url(self) -> str:
        return f"sftp://{USER}@127.0.0.1:{self.port}/inbox"

    def connection_made(self, conn) -> None:
        self.connections += 1
        if self.connections == self.hangs_up_at:
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.tried.append("password")
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key) -> bool:
        self.tried.append("key")
        return username == USER and key.public_data == self.client_key.public_data

    def _files(self, channel) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(self.root).encode())

    async def _serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: self,
            server_host_keys=[self.host_key, self.second_key],
            sftp_factory=self._files if self.offers_sftp else None,
        )
        self.port = listener.get_port()
        started.set()
        await ended.wait()
        listener.close()
        await listener.wait_closed()


@contextmanager
def sftp_server(root: Path, *, offers_sftp: bool = True) -> Iterator[SftpServer]:
    """Serve a folder; `root/inbox` is `/inbox` to clients."""
    server, started = SftpServer(root, offers_sftp=offers_sftp), threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        ended = asyncio.Event()
        ends.append((asyncio.get_running_loop(), ended))
        await server._serve(started, ended)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(10)
    yield server
    loop, ended = ends[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
