"""What runs in a worker, and what may start beside it.

The first of each lane always may. Others need a slot and, by the estimates of all that runs, memory. For a
job that does not fit, memory is reserved: it waits for what ran before, and what passes it leaves it room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.runs.kinds import BACKTEST, HELP_TASK, SYNC_QUEUE, TASK_QUEUE, TRAIN
from app.runs.taking import WaitingJob, most_backtests

STATES = "states"
"""The lane of processes that bring forecasts up to date; the other lanes are queues."""


@dataclass(frozen=True)
class _Held:
    lane: str
    n_bytes: int
    task: str = ""


@dataclass(frozen=True)
class _Reserved:
    job_id: int
    n_bytes: int
    before: frozenset[int]
    """What ran when it was found not to fit."""


class Slots:
    """What runs in one worker; negative ids are not those of jobs."""

    def __init__(self, n: int, memory_bytes: int) -> None:
        self.n = n
        self.memory_bytes = memory_bytes
        self.lock = asyncio.Lock()
        """Held while something is chosen and started."""
        self.stopping = False
        self._held: dict[int, _Held] = {}
        self._reserved: _Reserved | None = None

    def hold(self, key: int, lane: str, n_bytes: int, task: str = "") -> None:
        """Count something as running."""
        self._held[key] = _Held(lane, n_bytes, task)

    def release(self, key: int) -> None:
        """Count something as ended."""
        self._held.pop(key, None)

    def running(self, lane: str) -> int:
        """Return how many run in a lane."""
        return sum(held.lane == lane for held in self._all().values())

    def _all(self) -> dict[int, _Held]:
        return dict(self._held)  # others change it from the event loop's thread

    def _full(self) -> bool:
        # The first process of states runs beside the slots: forecasts are not late because of a training.
        return self.running(TASK_QUEUE) + max(0, self.running(STATES) - 1) >= self.n

    def tasks(self, queue: str, of_queue: Sequence[str]) -> list[str]:
        """Return those of a queue's tasks that may start now.

        Of several slots, backtests leave one to trainings.
        """
        if queue == SYNC_QUEUE:
            return list(of_queue)
        if self._full():
            return []
        backtests = sum(held.task == BACKTEST.task for held in self._all().values())
        allowed = [TRAIN.task, HELP_TASK]
        if backtests < most_backtests(self.n):
            allowed.append(BACKTEST.task)
        return [task for task in of_queue if task in allowed]

    def may_start_states(self, n_bytes: int) -> bool:
        """Return whether one more process may bring forecasts up to date."""
        if self.running(STATES) == 0:
            return True
        return not self._full() and self._fits(STATES, n_bytes, passing=True)

    def choose(
        self, queue: str, waiting: Sequence[WaitingJob], n_bytes_of: Callable[[WaitingJob], int]
    ) -> Iterator[tuple[WaitingJob, int]]:
        """Yield the jobs that may start, in order, with their memory; the caller takes the first it gets."""
        if queue == TASK_QUEUE and self._reserved is not None:
            # Unless it still waits, it has started elsewhere or was cancelled.
            still = any(job.id == self._reserved.job_id for job in waiting)
            self._reserved = self._reserved if still else None
        passing = False
        for job in waiting:
            n_bytes = 0 if self.n == 1 else n_bytes_of(job)
            if self._fits(queue, n_bytes, passing=passing):
                yield job, n_bytes
            elif queue == TASK_QUEUE and not passing:
                passing = True
                self._reserve(job.id, n_bytes)

    def _fits(self, lane: str, n_bytes: int, *, passing: bool) -> bool:
        held = self._all()
        if not any(one.lane == lane for one in held.values()):
            return True
        if sum(one.n_bytes for one in held.values()) + n_bytes > self.memory_bytes:
            return False
        if self._reserved is None or (lane == TASK_QUEUE and not passing):
            return True
        later = sum(one.n_bytes for key, one in held.items() if key not in self._reserved.before)
        return later + n_bytes + self._reserved.n_bytes <= self.memory_bytes

    def _reserve(self, job_id: int, n_bytes: int) -> None:
        if self._reserved is None or self._reserved.job_id != job_id:
            self._reserved = _Reserved(job_id, n_bytes, frozenset(self._held))
