"""A small HTTP load generator over raw sockets, cheap enough not to hide the server's cost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

RAMP_S = 0.5


@dataclass(frozen=True)
class Load:
    """What a server answered."""

    per_s: float
    mb_per_s: float
    n_failed: int


def load(port: int, path: str, connections: int, seconds: float) -> Load:
    """Keep `connections` busy with GETs of one path; counted after a short ramp."""
    return asyncio.run(_load(port, path, connections, seconds))


async def _load(port: int, path: str, connections: int, seconds: float) -> Load:
    begin = time.perf_counter() + RAMP_S
    end = begin + seconds
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    counts = await asyncio.gather(*(_one(port, request, begin, end) for _ in range(connections)))
    n_good, n_failed, n_bytes = (sum(c[i] for c in counts) for i in range(3))
    return Load(n_good / seconds, n_bytes / seconds / 2**20, n_failed)


async def _one(port: int, request: bytes, begin: float, end: float) -> tuple[int, int, int]:
    """Good replies, others, bytes between `begin` and `end` on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    n_good = n_failed = n_bytes = 0
    try:
        while (now := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _content_length(head)
            await reader.readexactly(length)
            if now < begin:
                continue
            good = head.startswith(b"HTTP/1.1 200")
            n_good, n_failed, n_bytes = n_good + good, n_failed + (not good), n_bytes + length
    finally:
        writer.close()
    return n_good, n_failed, n_bytes


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    raise RuntimeError(f"a reply without Content-Length: {head[:200]!r}")
