"""Memory: of this machine, used by this process, and what a process that serves gives back when."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from app.core.processes.task_pool import most_processes

M_ARENA_MAX, MALLOC_ARENAS = -8, 2
FULL_COLLECTION_EVERY = 100
"""Collections of the middle generation; Python's default is 10."""
_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory.limit_in_bytes")


def freeze_garbage_collector() -> None:
    """Exclude the objects of start-up from garbage collections.

    They are most of a million objects that live as long as the process; each full collection, triggered
    by an upload's rows, stopped all threads for up to half a second (drill I3). What is loaded later, by a
    first picture for instance, still takes 50 ms: full collections come a tenth as often as by default, so
    that one caller's forecasts do not hold up the others' twice a second (drill X4). They find hardly
    anything: what dies young goes with the younger generations.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_COLLECTION_EVERY)
    gc.enable()


def limit_malloc_arenas() -> None:
    """Limit the number of glibc's heaps; otherwise each thread retains the memory of its largest reply.

    200 heavy requests at once take 1.04 GB instead of 1.22 GB (drill A3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MALLOC_ARENAS)


def machine_memory_bytes(groups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the memory of this machine, or the limit of this process's container if that is less.

    Args:
        groups: where control groups are mounted.
        own: the file that names those of this process.
    """
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    for line in lines:
        _, controllers, group = line.split(":", 2)
        base = groups / "memory" if "memory" in controllers.split(",") else groups
        # Inside a container the group's name is often that outside of it: its limit is then at the top.
        path = base / group.lstrip("/")
        for folder in (path, *path.parents):
            if folder.is_relative_to(base):
                found += [limit for name in _LIMITS if (limit := _limit(folder / name))]
    return min(found)


def _limit(file: Path) -> int | None:
    with suppress(OSError, ValueError):  # it is not there, or says `max`
        return int(file.read_text())
    return None


def peak_memory_bytes() -> int:
    """Return the most memory that this process and those of its pool have had, at most.

    Each process of a pool counts as the largest of them.
    """
    usage = resource.getrusage
    unit = 1 if sys.platform == "darwin" else 1024
    own = usage(resource.RUSAGE_SELF).ru_maxrss * unit
    with suppress(OSError):
        # The figure above includes what the parent had when it started this process.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                own = int(line.split()[1]) * 1024
    return own + most_processes() * usage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
