"""Parallel processes that work through a list of tasks and can be killed at once.

`ProcessPoolExecutor` cannot: a cancelled backtest would wait for fits in progress, and one killed
process breaks the whole pool.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from app.core.processes.supervisor import end_with_parent, how_it_ended

MAX_DEATHS = 3
"""Deaths of processes on one task before the whole run fails."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_most = 0

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


class ProcessDied(Exception):
    """Processes died repeatedly on the same task."""


def most_processes() -> int:
    """Return how many processes this one's pools have had at once."""
    return _most


@dataclass
class _Place(Generic[TaskT]):
    """One process, our end of its pipe, and its current task."""

    process: BaseProcess
    pipe: Connection
    primed: bool = False
    task: TaskT | None = None
    sent: bool = False


def _serve(pipe: Connection, parent: int, work: Callable[[Any, Any], Any]) -> None:
    """Receive what is shared, then answer tasks until the pipe closes.

    An answer is (True, result), or (False, the exception).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    faulthandler.enable()
    shared = pipe.recv()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, work(shared, task))
        except Exception as error:
            answer = (False, error)
        pipe.send(answer)


def run_tasks(
    work: Callable[[Any, TaskT], ResultT],
    shared: object,
    tasks: Sequence[TaskT],
    n_jobs: int,
    poll_s: float,
) -> Generator[ResultT | None, None, None]:
    """Work through a list of tasks; see `run_taken`."""
    todo = deque(tasks)
    return run_taken(work, shared, lambda: todo.popleft() if todo else None, n_jobs, poll_s)


def run_taken(
    work: Callable[[Any, TaskT], ResultT],
    shared: object,
    take: Callable[[], TaskT | None],
    n_jobs: int,
    poll_s: float,
) -> Generator[ResultT | None, None, None]:
    """Yield results as they come, and None whenever `poll_s` passed without one.

    Closing the iterator, or an exception at its consumer, kills the processes at once. Must be
    called from the main thread (`app.core.processes.supervisor.end_with_parent`).

    Args:
        work: called as work(shared, task) in a process with one numerical thread; importable.
        shared: sent once to each process.
        take: returns a task for a process that has none, or None if there is none now; the iterator ends when
            there is none and no process has one.
        n_jobs: maximum number of processes; they start when there is a task for them.

    Raises:
        ProcessDied: a task's processes were killed or crashed `MAX_DEATHS` times.
        Exception: what `work` raised.
    """
    again: deque[TaskT] = deque()
    deaths: Counter[TaskT] = Counter()
    places: list[_Place[TaskT]] = []

    def next_task() -> TaskT | None:
        return again.popleft() if again else take()

    try:
        while _has_task(work, places, next_task, n_jobs):
            for place in places:
                _send(place, shared)
            ready = wait([place.pipe for place in places], poll_s)
            for place in [p for p in places if p.pipe in ready]:
                answer = _receive(place)
                if answer is None:
                    places.remove(place)
                    _give_back(place, again, deaths)
                else:
                    place.task, place.sent = None, False
                    yield _unwrapped(answer)
            yield None
    finally:
        for place in places:
            place.process.kill()
        for place in places:
            place.process.join()
            place.pipe.close()


def _has_task(
    work: Callable[[Any, TaskT], Any],
    places: list[_Place[TaskT]],
    next_task: Callable[[], TaskT | None],
    n_jobs: int,
) -> bool:
    """Give tasks to processes without one, start more for further tasks; return whether any has one."""
    for place in places:
        if place.task is None:
            place.task = next_task()
            if place.task is None:
                break
    else:
        # All start before the first gets what is shared, which waits until it has started.
        while len(places) < n_jobs and (task := next_task()) is not None:
            places.append(_start(work))
            places[-1].task = task
        _note(len(places))
    return any(place.task is not None for place in places)


def _note(n_processes: int) -> None:
    global _most
    _most = max(_most, n_processes)


def _start(work: Callable[[Any, TaskT], Any]) -> _Place[TaskT]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, os.getpid(), work), daemon=True)
    with _one_thread():
        process.start()
    theirs.close()
    return _Place(process, ours)


def _unwrapped(answer: tuple[bool, Any]) -> Any:
    good, value = answer
    if not good:
        raise value
    return value


def _send(place: _Place[TaskT], shared: object) -> None:
    """Send a new task to its process."""
    if place.task is None or place.sent:
        return
    place.sent = True
    try:
        if not place.primed:
            # Not in the process's arguments: writing those blocks forever if it dies early.
            place.pipe.send(shared)
            place.primed = True
        place.pipe.send(place.task)
    except (BrokenPipeError, ConnectionResetError):
        return  # it died; its pipe shows that at the next poll


def _receive(place: _Place[TaskT]) -> tuple[bool, Any] | None:
    """Return the answer, or None if the process died, possibly in the middle of its answer."""
    try:
        answer: tuple[bool, Any] = place.pipe.recv()
    except (EOFError, OSError):
        return None
    return answer


def _give_back(place: _Place[TaskT], again: deque[TaskT], deaths: Counter[TaskT]) -> None:
    """Put a dead process's task back to the head of the queue.

    Raises:
        ProcessDied: too many processes died on it.
    """
    place.process.join()
    place.pipe.close()
    if place.task is None:
        return
    deaths[place.task] += 1
    if deaths[place.task] >= MAX_DEATHS:
        how = how_it_ended(place.process.exitcode or 0)
        raise ProcessDied(f"{MAX_DEATHS} processes died on {place.task}, the last {how}")
    again.appendleft(place.task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let numerical libraries of processes started inside use one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
