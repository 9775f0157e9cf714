"""How many jobs a worker runs at once, and each one's share of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from app.core.processes.memory import machine_memory_bytes
from app.core.settings import Settings

LEAST_RESERVE_BYTES = 1 << 30
"""For the worker itself, upkeep and pushes, which are not counted."""
_AUTO_CORES = 2
_AUTO_BYTES = 2 << 30
_LEAST_TRAINING_BYTES = 512 << 20


@dataclass(frozen=True)
class Capacity:
    """A worker's capacity, and each slot's share.

    Args:
        slots: jobs at once.
        memory_bytes: of all jobs together.
        threads: of a training.
        processes: of a backtest; 0: as many as the machine has free cores.
        training_memory_bytes: cap on a job's process.
    """

    slots: int
    memory_bytes: int
    threads: int
    processes: int
    training_memory_bytes: int


def capacity_of(settings: Settings) -> Capacity:
    """Return the capacity of a worker on this machine."""
    cores = os.cpu_count() or 1
    memory_bytes = settings.worker_memory_bytes or _free_bytes(machine_memory_bytes())
    slots = settings.worker_slots or max(1, min(cores // _AUTO_CORES, memory_bytes // _AUTO_BYTES))
    processes = settings.backtest_processes
    if slots > 1 and not processes:
        processes = max(1, cores // slots)
    cap_bytes = settings.training_memory_bytes
    if settings.worker_memory_bytes:
        cap_bytes = max(_LEAST_TRAINING_BYTES, min(cap_bytes, memory_bytes))
    threads = settings.training_threads or max(1, cores // (2 * slots))
    return Capacity(slots, memory_bytes, threads, processes, cap_bytes)


def _free_bytes(machine_bytes: int) -> int:
    reserve = max(LEAST_RESERVE_BYTES, machine_bytes // 8)
    return max(machine_bytes - reserve, machine_bytes // 2)
