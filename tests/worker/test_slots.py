"""What may start beside what runs, in a worker of several slots: lanes, memory, room for the large."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.kinds import BACKTEST, HELP_TASK, KINDS, SYNC_QUEUE, TASK_QUEUE, TRAIN
from app.runs.taking import WaitingJob
from app.worker.slots import STATES, Slots

TASKS = [TRAIN.task, BACKTEST.task, HELP_TASK]


def job(number, task=TRAIN.task):
    return WaitingJob(number, task, "", number, {})


def start_all(slots, sizes):
    """Start what may start, in order; return which."""
    started = []
    while slots.tasks(TASK_QUEUE, TASKS):
        waiting = [job(n) for n in sizes if n not in started and n not in slots._all()]
        found = next(slots.choose(TASK_QUEUE, waiting, lambda one: sizes[one.id]), None)
        if found is None:
            break
        slots.hold(found[0].id, TASK_QUEUE, found[1], TRAIN.task)
        started.append(found[0].id)
    return started


def test_jobs_start_while_slots_and_memory_last():
    assert start_all(Slots(3, 10), {1: 4, 2: 4, 3: 4}) == [1, 2]
    assert start_all(Slots(3, 12), {1: 4, 2: 4, 3: 4, 4: 1}) == [1, 2, 3]


def test_a_job_alone_always_runs_and_nothing_beside_it():
    slots = Slots(3, 10)
    assert start_all(slots, {1: 99, 2: 1}) == [1]
    slots.release(1)
    assert start_all(slots, {2: 1}) == [2]


def test_one_slot_asks_for_no_estimates():
    slots = Slots(1, 10)
    found = next(slots.choose(TASK_QUEUE, [job(1)], lambda _: pytest.fail("estimated")))
    assert found == (job(1), 0)


def test_a_job_that_does_not_fit_is_passed_only_by_what_leaves_it_room():
    slots = Slots(4, 10)
    assert start_all(slots, {1: 3, 2: 3}) == [1, 2]
    assert start_all(slots, {3: 7, 4: 4, 5: 3, 6: 1}) == [5], "what passes leaves 7 of 10"
    slots.release(1)
    assert start_all(slots, {3: 7, 6: 1}) == []
    slots.release(2)
    assert start_all(slots, {3: 7, 6: 1}) == [3]


def test_memory_is_not_reserved_for_a_job_that_is_gone():
    slots = Slots(4, 10)
    assert start_all(slots, {1: 6}) == [1]
    assert start_all(slots, {2: 9, 3: 2}) == []
    assert start_all(slots, {3: 2}) == [3]


@given(
    st.lists(st.integers(1, 6), max_size=20),
    st.integers(7, 10),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_a_large_job_waits_only_for_what_ran_before_it(sizes, large, n_slots, choice):
    slots = Slots(n_slots, 10)
    before = set(start_all(slots, dict(enumerate(sizes, start=1))))
    waiting = {1000: large}
    start_all(slots, waiting)
    while 1000 not in slots._all():
        assert before & set(slots._all())
        slots.release(choice.choice(sorted(slots._all())))
        waiting[1000 + len(waiting)] = choice.randint(1, 6)  # small ones without end
        start_all(slots, {1000: large, max(waiting): waiting[max(waiting)]})
        assert sum(held.n_bytes for held in slots._all().values()) <= 10


def test_backtests_leave_one_slot_of_several_to_trainings():
    for n_slots, most in ((1, 1), (2, 1), (4, 3)):
        slots = Slots(n_slots, 100)
        for number in range(most):
            assert BACKTEST.task in slots.tasks(TASK_QUEUE, TASKS)
            slots.hold(number, TASK_QUEUE, 0, BACKTEST.task)
        left = [TRAIN.task, HELP_TASK] if n_slots > 1 else []
        assert slots.tasks(TASK_QUEUE, TASKS) == left


def test_a_sync_and_states_run_beside_full_slots_further_ones_need_room():
    slots = Slots(2, 10)
    slots.hold(1, TASK_QUEUE, 9, TRAIN.task)
    slots.hold(2, TASK_QUEUE, 9, TRAIN.task)
    assert slots.may_start_states(1)
    slots.hold(-1, STATES, 1)
    assert not slots.may_start_states(1)
    sync = job(3, KINDS["sync"].task)
    assert list(slots.choose(SYNC_QUEUE, [sync], lambda _: 1)) == [(sync, 1)]
    slots.hold(3, SYNC_QUEUE, 1, sync.task_name)
    assert list(slots.choose(SYNC_QUEUE, [job(4)], lambda _: 1)) == []
    for ended in (1, 2):
        slots.release(ended)
    assert list(slots.choose(SYNC_QUEUE, [job(4)], lambda _: 1)) == [(job(4), 1)]
    assert slots.may_start_states(1)
    slots.hold(-2, STATES, 1)
    slots.hold(5, TASK_QUEUE, 1, TRAIN.task)
    assert slots.tasks(TASK_QUEUE, TASKS) == [], "further states take slots"
