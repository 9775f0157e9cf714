"""Long work pauses while a short request of another caller is under way, and for no longer than it may."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

import pytest

from app.core.processes import priority
from app.core.processes.priority import (
    BUSY_S,
    LONG_WORK_S,
    MAX_PAUSE_S,
    PAUSE_S,
    SHORT_S,
    give_way,
    long_work,
    under_way,
)
from app.core.roles import acting_as


def paused_s(beside=None, *, works: bool = True) -> float:
    """Seconds that a caller `heavy` pauses for a request that begins after its long work."""
    with acting_as("heavy"), long_work():
        began = time.thread_time()
        while works and time.thread_time() - began < 2 * LONG_WORK_S:
            pass
        with beside or nullcontext():
            give_way()
        return priority._here.paused_s


def test_nobody_is_waited_for_without_need():
    assert paused_s() == 0
    assert paused_s(under_way("heavy")) == 0
    assert paused_s(under_way("other"), works=False) == 0
    with under_way("other"):
        give_way()  # outside of a request
        time.sleep(2 * SHORT_S)
        assert paused_s() == 0, "the other one has taken long itself"


def test_a_pause_lasts_while_the_other_request_is_young():
    started = time.monotonic()
    assert paused_s(under_way("other")) > 0
    assert time.monotonic() - started >= SHORT_S


def test_a_stream_of_short_requests_delays_long_work_by_no_more_than_its_limit():
    ended = threading.Event()

    def others() -> None:
        while not ended.is_set():
            with under_way("other"):
                time.sleep(SHORT_S / 50)

    threads = [threading.Thread(target=others) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        assert paused_s() == pytest.approx(MAX_PAUSE_S, abs=MAX_PAUSE_S / 2)
        assert paused_s() < MAX_PAUSE_S + 2 * PAUSE_S
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_request_is_forgotten_however_it_ends():
    with pytest.raises(ValueError, match="broken"), under_way("other"):
        raise ValueError("broken")
    assert paused_s() == 0


@pytest.mark.slow
def test_a_flood_of_short_work_gives_way_from_its_start():
    def work(seconds: float) -> None:
        began = time.thread_time()
        with long_work():
            while time.thread_time() - began < seconds:
                pass

    with acting_as("flooding"):
        with long_work(), under_way("other"):
            give_way()
            assert priority._here.paused_s == 0
        while priority._recently_spent_s("flooding") <= BUSY_S:
            work(LONG_WORK_S / 3)
        with long_work(), under_way("other"):
            give_way()
            assert priority._here.paused_s > 0
    with acting_as("modest"), long_work(), under_way("other"):
        give_way()
        assert priority._here.paused_s == 0
    time.sleep(6 * priority.FORGET_HALF_LIFE_S)
    assert priority._recently_spent_s("flooding") < BUSY_S / 10


def test_callers_are_not_remembered_without_end():
    for n in range(priority.MAX_CALLERS + 5):
        with acting_as(f"caller {n}"), long_work():
            pass
    assert len(priority._spent) <= priority.MAX_CALLERS
