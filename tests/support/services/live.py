"""The application behind the server that `hotslot serve` starts, and sockets that misbehave."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from sqlalchemy import Engine

from app.access.service import NewKey, create_key
from app.core.settings import Settings
from app.http.protocol import DeadlineProtocol
from app.main import create_app


@dataclass
class Live:
    """A running server."""

    server: uvicorn.Server
    engine: Engine
    address: tuple[str, int]
    client: httpx.Client
    settings: Settings

    def key(self, *roles: str, rate_per_s: float | None = 0, **options: object) -> str:
        return create_key(self.engine, NewKey("live", roles, rate_per_s=rate_per_s, **options)).text  # type: ignore[arg-type]

    def ask(self, method: str, path: str, key: str | None = None, **options) -> httpx.Response:
        headers = {"X-API-Key": key} if key else {}
        return self.client.request(
            method, path, headers=headers | options.pop("headers", {}), **options
        )

    def line(self, method: str, path: str, key: str | None = None, *more: str, body: bytes = b""):
        """A socket on which a request was sent; its buffer for what is received is as small as can be."""
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        found.settimeout(10)
        found.connect(self.address)
        head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *more]
        head += [f"X-API-Key: {key}"] if key else []
        found.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return found


@contextmanager
def live(settings: Settings, engine: Engine, **changes: object) -> Iterator[Live]:
    """Serve until the block ends."""
    changed = settings.model_copy(update=changes)
    app = create_app(changed, engine)
    config = uvicorn.Config(
        app, port=0, http=DeadlineProtocol, ws="auto", log_config=None, access_log=False,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        address = server.servers[0].sockets[0].getsockname()
        with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", timeout=30) as client:
            yield Live(server, engine, address, client, changed)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def status_of(line: socket.socket) -> int:
    """Of the reply on a socket."""
    return int(line.recv(12)[9:12] or 0)


def tracebacks(records: list[logging.LogRecord]) -> list[str]:
    """What the log has of errors."""
    return [r.getMessage() for r in records if r.exc_info or r.levelno >= logging.ERROR]
