"""Let long work pause while short requests of other callers are under way.

Threads share one interpreter lock, so a request that computes for a tenth of a second slows every
reply that needs the lock a dozen times. Work that takes long calls `give_way` at points where it can
pause; it does so for as long as a request of somebody else is young, within limits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.roles import current_actor

SHORT_S = 0.05
"""A request that has taken longer is long work itself: nobody pauses for it."""
LONG_WORK_S = 0.01
"""Processor time of a thread in one request from which on it gives way."""
BUSY_S = 0.1
"""Processor time of a caller within about the last second from which on all its work is long."""
FORGET_HALF_LIFE_S = 0.7
MAX_CALLERS = 1_000
PAUSE_S = 0.0005
MAX_PAUSE_S = 0.25
"""For which one request pauses in all."""

_under_way: dict[int, tuple[float, str]] = {}
_spent: dict[str, tuple[float, float]] = {}
"""{caller: (moment, processor time spent by then, halved every `FORGET_HALF_LIFE_S`)}."""
_here = threading.local()


@contextmanager
def under_way(actor: str) -> Iterator[None]:
    """Count a request as one that long work of other callers gives way to."""
    token = object()
    _under_way[id(token)] = (time.monotonic(), actor)
    try:
        yield
    finally:
        del _under_way[id(token)]


@contextmanager
def long_work() -> Iterator[None]:
    """Let the block's work in this thread give way from `LONG_WORK_S` on.

    That of a caller who has been busy gives way from its start: a flood of short work is long work.
    """
    actor = current_actor.get()
    _here.since_s, _here.paused_s = time.thread_time(), 0.0
    _here.is_busy = _recently_spent_s(actor) > BUSY_S
    try:
        yield
    finally:
        spent_s = time.thread_time() - _here.since_s
        del _here.since_s
        if len(_spent) >= MAX_CALLERS:
            _spent.clear()
        _spent[actor] = (time.monotonic(), _recently_spent_s(actor) + spent_s)


def _recently_spent_s(actor: str) -> float:
    at, spent_s = _spent.get(actor, (0.0, 0.0))
    return float(spent_s * 0.5 ** ((time.monotonic() - at) / FORGET_HALF_LIFE_S))


def give_way() -> None:
    """Pause while a short request of another caller is under way, if this is long work."""
    since_s = getattr(_here, "since_s", None)
    if since_s is None:
        return
    if not _here.is_busy and time.thread_time() - since_s < LONG_WORK_S:
        return
    actor = current_actor.get()
    while _here.paused_s < MAX_PAUSE_S and _is_awaited(actor):
        time.sleep(PAUSE_S)
        _here.paused_s += PAUSE_S


def _is_awaited(actor: str) -> bool:
    young = time.monotonic() - SHORT_S
    # A copy: requests begin and end meanwhile.
    return any(began > young and who != actor for began, who in list(_under_way.values()))
