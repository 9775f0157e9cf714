"""Ways to hold or waste all that one caller can.

`python -m tests.resilience.attacks.holders WAY PORT KEY EVENTS`: `fair_shares.py` runs each in a process of
its own and ends it; loopback only.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

FORECASTS = "/v1/regions/drill/forecasts"
BUNDLE = "/static/vendor/swagger-ui/swagger-ui-bundle.js"
NICENESS = 10
"""What is measured is the service's fairness, not the machine's."""
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Holder:
    """Sends what the ways below need.

    Args:
        port: of the service on 127.0.0.1.
        key: of the one reader that holds; not used by those without a key.
        events: path of a stream of events.
    """

    def __init__(self, port: int, key: str, events: str) -> None:
        self.port = port
        self.key = key
        self.events = events
        self.held: list[socket.socket] = []

    def line(self, method: str, path: str, *more: str, key: str | None = None) -> socket.socket:
        """A socket that has sent a request and reads nothing."""
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        opened.settimeout(5)
        opened.connect(("127.0.0.1", self.port))
        keyed = [f"X-API-Key: {key}"] if key else []
        head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *keyed, *more, "", ""]
        opened.sendall("\r\n".join(head).encode())
        return opened

    def hold(self, opened: socket.socket, at_most: int) -> None:
        """Keep a socket open, and of all no more than so many."""
        self.held.append(opened)
        while len(self.held) > at_most:
            self.held.pop(0).close()

    def flood(self, *asked: tuple[str, str | None, dict[str, str]], threads: int = 8) -> None:
        """Ask without a pause from several threads, each connection as long as it lasts."""

        def ask() -> None:
            while True:
                line = HTTPConnection("127.0.0.1", self.port, timeout=30)
                with suppress(OSError, HTTPException):
                    while True:
                        path, key, more = random.choice(asked)
                        line.request(
                            "GET", path, headers=more | ({"X-API-Key": key} if key else {})
                        )
                        line.getresponse().read()
                line.close()

        for _ in range(threads):
            threading.Thread(target=ask, daemon=True).start()
        while True:
            time.sleep(1)

    def slow_files(self) -> None:
        """Without a key: 8 sockets each quarter of a second ask for large files and read nothing (H8)."""
        while True:
            for _ in range(8):
                with suppress(OSError):
                    opened = self.line("GET", BUNDLE)
                    opened.sendall(f"GET {BUNDLE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 3)
                    self.hold(opened, 260)
            time.sleep(0.25)

    def pipelines(self) -> None:
        """Without a key: requests by the thousand on each connection, whose replies are not read."""
        many = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
        while True:
            with suppress(OSError):
                opened = self.line("GET", "/healthz")
                self.hold(opened, 100)
                opened.sendall(many)
            time.sleep(0.02)

    def connections(self) -> None:
        """Without a key: two thousand connections whose request never ends."""
        while True:
            with suppress(OSError):
                opened = socket.create_connection(("127.0.0.1", self.port), 5)
                opened.sendall(b"GET / HT")
                self.hold(opened, 2000)
            time.sleep(0.002)

    def refused_without_key(self) -> None:
        """Without a key: 401, 404 and upgrades as fast as they are answered."""
        unknown = "hsk_000000000000_" + "A" * 43
        self.flood(
            ("/v1/me", None, {}),
            ("/nowhere", None, {}),
            ("/", None, UPGRADE),
            ("/v1/me", unknown, {}),
        )

    def streams(self) -> None:
        """With one key: as many streams of events as there may be (M4)."""
        while True:
            with suppress(OSError):
                self.hold(self.line("GET", self.events, key=self.key), 64)
            time.sleep(0.05)

    def slow_replies(self) -> None:
        """With one key: large forecasts that are not read."""
        while True:
            path = f"{FORECASTS}/density?f=geojson&cell_size_m=150&window={random.randrange(4)}"
            with suppress(OSError):
                self.hold(self.line("GET", path, key=self.key), 64)
            time.sleep(0.1)

    def slow_bodies(self) -> None:
        """With one key: bodies that do not come."""
        more = ("Content-Type: application/json", "Content-Length: 999")
        while True:
            with suppress(OSError):
                self.hold(self.line("POST", f"{FORECASTS}/score", *more, key=self.key), 64)
            time.sleep(0.02)

    def refused(self) -> None:
        """With one key: 403 and 422 as fast as they are answered (L3)."""
        many = "&".join(f"a{n}" for n in range(6000))
        paths = ("/v1/audit", f"{FORECASTS}/density?catgory=x", f"/v1/me?{many}")
        self.flood(*((path, self.key, {}) for path in paths))

    def heavy(self) -> None:
        """With one key: forecasts that no cache has, as fast as they are answered."""
        sizes = (f"{FORECASTS}/density?window=3&cell_size_m={200 + n / 10}" for n in range(3000))
        self.flood(*((path, self.key, {}) for path in sizes), threads=32)


WAYS: dict[str, Callable[[Holder], None]] = {
    "slow files": Holder.slow_files,
    "pipelines": Holder.pipelines,
    "connections": Holder.connections,
    "refused, no key": Holder.refused_without_key,
    "streams": Holder.streams,
    "slow replies": Holder.slow_replies,
    "slow bodies": Holder.slow_bodies,
    "refused": Holder.refused,
    "heavy": Holder.heavy,
}

if __name__ == "__main__":
    os.nice(NICENESS)
    WAYS[sys.argv[1]](Holder(int(sys.argv[2]), sys.argv[3], sys.argv[4]))
