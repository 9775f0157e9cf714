"""Which processes belong to a home, read from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def processes_of(home: Path, word: str = "") -> list[int]:
    """Living processes whose environment names the home and whose arguments hold a word."""
    return [pid for pid in _all() if _belongs(pid, home) and word in _arguments(pid)]


def processes_with(word: str) -> list[int]:
    """Living processes whose arguments hold a word."""
    return [pid for pid in _all() if word in _arguments(pid)]


def peak_memory_mb(pid: int) -> float:
    """Largest resident size that a process has had, in MB (2**20 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no memory figure of process {pid}")


def _all() -> Iterator[int]:
    yield from (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit())


def _belongs(pid: int, home: Path) -> bool:
    if pid == os.getpid():
        return False
    with contextlib.suppress(OSError):  # it went away, or is not ours to read
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return f"HOTSLOT_HOME={home}".encode() in variables
    return False


def _arguments(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return ["", *Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")]
    return []
