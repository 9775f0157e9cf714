"""A TCP proxy before PostgreSQL that slows, silences or cuts the line on command."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import make_url

Mode = Literal["pass", "slow", "silent", "cut"]
CHUNK_BYTES = 1 << 16
POLL_S = 0.05


class DatabaseProxy:
    """Listens on loopback and forwards to a PostgreSQL socket.

    Args:
        upstream: path of PostgreSQL's Unix socket.

    Attributes:
        mode: `pass` forwards; `slow` holds each packet for `delay_s`; `silent` accepts and swallows
            everything (a half-open line); `cut` closes all connections and takes no new ones.
        delay_s: see `slow`.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.mode: Mode = "pass"
        self.delay_s = 1.0
        self._pairs: set[socket.socket] = set()
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL_S)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def switch(self, mode: Mode) -> None:
        """Change what happens to the line from now on."""
        self.mode = mode
        if mode == "cut":
            self._close_all()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._stopped.set()
        self._listener.close()
        self._close_all()

    def _close_all(self) -> None:
        for side in list(self._pairs):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self.mode == "cut":
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.upstream)
            self._pairs |= {client, server}
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server)
        back.join()
        for side in (client, server):
            self._pairs.discard(side)
            side.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                while self.mode == "silent" and not self._stopped.is_set():
                    time.sleep(POLL_S)
                if self.mode == "slow":
                    time.sleep(self.delay_s)
                target.sendall(chunk)
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(database_url: str) -> Iterator[tuple[DatabaseProxy, str]]:
    """A proxy before a server on a Unix socket, and the URL that leads through it."""
    url = make_url(database_url)
    proxy = DatabaseProxy(f"{url.query['host']}/.s.PGSQL.5432")
    through = url.set(host="127.0.0.1", port=proxy.port, query={})
    try:
        yield proxy, through.render_as_string(hide_password=False)
    finally:
        proxy.close()
