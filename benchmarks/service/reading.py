"""A closed load of readers who think between requests, and callers who flood one region beside them."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

import numpy as np

N_HOURS = 24
BASE_WINDOW = 96
FLOOD_SIZES_M = (100.0, 500.0)


def region_of(place: int) -> str:
    """Name of a region of the benchmark."""
    return f"region-{place:04}"


def path_of(place: int, window: int, **more: float) -> str:
    """Path of the hotspots of a region in an hour of the week."""
    query = "".join(f"&{name}={value}" for name, value in more.items())
    return f"/v1/regions/{region_of(place)}/forecasts/hotspots?window={window % 168}{query}"


@dataclass
class Load:
    """What the readers waited for."""

    waits_s: list[float] = field(default_factory=list)
    n_failed: int = 0
    n_floods: int = 0

    def quantile_ms(self, level: float) -> float:
        """Milliseconds that a share of the requests took at most."""
        return 1000 * float(np.quantile(self.waits_s, level)) if self.waits_s else float("nan")


@dataclass(frozen=True)
class Readers:
    """So many readers of all regions but the first, who think so long on average."""

    n_readers: int
    n_regions: int
    think_s: float

    async def read(self, port: int, seconds: float, *, seed: int, n_floods: int = 0) -> Load:
        """Read for so long, beside so many connections that flood the first region.

        Args:
            seed: of hours and pauses; with the same one, replies would come from caches.
        """
        load = Load()
        until_s = time.perf_counter() + seconds
        await asyncio.gather(
            *(self._reader(load, port, (seed, n), until_s) for n in range(self.n_readers)),
            *(_flood(load, port, (seed, n), until_s) for n in range(n_floods)),
        )
        return load

    async def _reader(self, load: Load, port: int, who: tuple[int, int], until_s: float) -> None:
        rng = np.random.default_rng(who)
        place = 1 + who[1] % (self.n_regions - 1)
        connection = _Connection(port)
        while True:
            think_s = rng.exponential(self.think_s)
            if time.perf_counter() + think_s > until_s:
                break
            await asyncio.sleep(think_s)
            started = time.perf_counter()
            good = await connection.get(path_of(place, BASE_WINDOW + int(rng.integers(N_HOURS))))
            load.waits_s.append(time.perf_counter() - started)
            load.n_failed += not good
        connection.close()


async def _flood(load: Load, port: int, who: tuple[int, int], until_s: float) -> None:
    rng = np.random.default_rng(who)
    connection = _Connection(port)
    while time.perf_counter() < until_s:
        size_m = round(float(rng.uniform(*FLOOD_SIZES_M)), 2)
        window = int(rng.integers(168))
        load.n_floods += await connection.get(path_of(0, window, cell_size_m=size_m))
    connection.close()


class _Connection:
    """A connection that is kept open and opened again where the service has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> bool:
        """Whether a GET gives 200."""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        )
        for _ in range(2):
            try:
                if self.streams is None:
                    self.streams = await asyncio.open_connection("127.0.0.1", self.port)
                reader, writer = self.streams
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
            except (OSError, asyncio.IncompleteReadError):
                self.close()
            else:
                return head.startswith(b"HTTP/1.1 200")
        return False

    def close(self) -> None:
        """Close it."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None
