"""Readers and a writer that never rest while a service is upgraded, and go from old processes to new ones."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import httpx

from tests.support.uploads import batch

READERS = 3
ROWS = 200
FIRST_PLACE = 1_000_000
"""Batches from here on are none of those that filled the region."""
TIMEOUT_S = 60.0
PATHS = (
    "/v1/regions/drill",
    "/v1/regions/drill/forecasts/density?at=2024-02-05T10:00Z",
    "/v1/regions/drill/incidents?limit=50&from=2023-01-10T00:00Z",
)


class Callers:
    """Threads that call the service on a port until `end`.

    Args:
        port: of loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged = 0
        """Incidents that an upload was confirmed to have stored."""
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.cells: set[str] = set()
        self.longest_s = self.silent_s = 0.0
        self._answered_s = time.monotonic()
        self._calls = [0] * (READERS + 1)
        self._lock, self._stopped = threading.Lock(), threading.Event()
        works = [*(self._read for _ in range(READERS)), self._write]
        self._threads = [
            threading.Thread(target=work, args=(place,), daemon=True)
            for place, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    def go_to(self, port: int) -> None:
        """Call another port, and return when nobody calls the former one any more."""
        self.port = port
        before = list(self._calls)
        while any(now < then + 2 for now, then in zip(self._calls, before, strict=True)):
            time.sleep(0.2)

    def end(self) -> None:
        """Stop, after the writer's last upload is confirmed."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def all_well(self) -> bool:
        """Whether every answer was right, and the forecast the same all the time."""
        return not self.wrong and len(self.cells) == 1 and self.acknowledged > 0

    def said(self) -> str:
        """The figures, in words."""
        return (
            f"answers {dict(self.statuses)}, slowest {self.longest_s:.1f} s, longest time without a read "
            f"{self.silent_s:.1f} s; {len(self.cells)} forecasts of one slot; wrong: {self.wrong[:3]}"
        )

    def _call(self, place: int, method: str, path: str, **options: object) -> httpx.Response | None:
        """Make a request; None unless it succeeded."""
        started = time.monotonic()
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            reply = httpx.request(method, url, timeout=TIMEOUT_S, **options)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            with self._lock:
                self.wrong.append(f"{method} {path}: {type(error).__name__}")
            return None
        finally:
            self._calls[place] += 1
        with self._lock:
            self.statuses[reply.status_code] += 1
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - started)
            waits = reply.status_code == 503 and "retry-after" in reply.headers
            if not reply.is_success and not waits:
                self.wrong.append(f"{method} {path}: {reply.status_code} {reply.text[:200]}")
            if reply.is_success and method == "GET":
                self.silent_s = max(self.silent_s, now - self._answered_s)
                self._answered_s = now
        return reply if reply.is_success else None

    def _read(self, place: int) -> None:
        path = PATHS[place % len(PATHS)]
        while not self._stopped.is_set():
            reply = self._call(place, "GET", path)
            if reply is not None and "density" in path:
                self.cells.add(json.dumps(reply.json()["cells"]))
            time.sleep(0.2)

    def _write(self, place: int) -> None:
        """Upload batch after batch; each is sent until it is confirmed, always with its own key."""
        n = FIRST_PLACE
        while not self._stopped.is_set():
            headers = {"Content-Type": "text/csv", "Idempotency-Key": f"live-{n}"}
            body = batch(n, ROWS)
            while True:
                sent = {"content": body, "headers": headers}
                reply = self._call(place, "POST", "/v1/regions/drill/incidents", **sent)
                if reply is not None:
                    break
                time.sleep(0.2)
            self.acknowledged += int(reply.json()["accepted"])
            n += 1
            time.sleep(0.3)
