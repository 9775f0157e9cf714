"""Places and turns: one holder's are bounded by what is free, nothing that is taken gets lost."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import RateLimited, Unavailable
from app.core.roles import LOCAL_ACTOR, Caller, Role
from app.http.fair_shares import ADMIN_PLACES, Places, Pool, Turns
from app.http.permissions import RoutePolicy

READER = RoutePolicy(frozenset({Role.READER}))
ADMIN = RoutePolicy(frozenset({Role.ADMIN}))


def taken(pool, holder):
    return sum(pool.take(holder) for _ in range(1000))


def test_one_alone_gets_a_third_and_two_get_a_quarter_each():
    alone = Pool(24)
    assert taken(alone, "a") == 8
    both = Pool(24)
    while any([both.take("a"), both.take("b")]):
        pass
    assert both.held == {"a": 6, "b": 6}


def test_busy_holders_who_never_end_leave_a_newcomer_a_place():
    """Fewer holders than a quarter of the places, each of which takes all that it can."""
    pool = Pool(64)
    assert [taken(pool, name) for name in "ab"] == [22, 14]
    for n in range(2, 15):
        assert taken(pool, str(n)) > 0
        assert pool.may("new"), n


@given(st.lists(st.tuples(st.integers(0, 14), st.booleans()), max_size=400))
def test_fifteen_busy_holders_of_64_leave_a_newcomer_a_place_whatever_the_order(steps):
    pool = Pool(64)
    for holder, takes in steps:
        if takes:
            taken(pool, str(holder))
        elif str(holder) in pool.held:
            pool.give_back(str(holder))
        assert pool.may("new")


def test_the_caller_on_this_machine_and_unshared_pools_take_all():
    assert taken(Pool(24), LOCAL_ACTOR) == 24
    assert taken(Pool(24, shared=False), "a") == 24
    assert taken(Pool(24, 2), "a") == 2


def test_a_holder_with_its_share_waits_for_itself_and_a_newcomer_for_all():
    pool = Pool(3)
    pool.enter("a")
    with pytest.raises(RateLimited, match="1 requests of this caller are open already"):
        pool.enter("a")
    pool.enter("b")
    pool.enter("c")
    with pytest.raises(Unavailable) as full:
        pool.enter("d")
    assert (type(full.value), full.value.code) == (Unavailable, "overloaded")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80))
def test_the_count_is_that_of_the_holders_whatever_the_order(steps):
    pool = Pool(7)
    for holder, takes in steps:
        if takes:
            pool.take(holder)
        elif holder in pool.held:
            pool.give_back(holder)
        assert pool.n_taken == sum(pool.held.values()) <= 7
        assert all(pool.held.values())


def test_general_places_overflow_to_those_of_administration_for_admins_alone():
    places = Places(general=Pool(2))
    actors = [Caller(name, frozenset()) for name in "abc"]
    assert places.enter(actors[0], READER) is places.enter(actors[1], READER) is places.general
    with pytest.raises(Unavailable):
        places.enter(actors[2], READER)
    assert places.enter(actors[2], ADMIN) is places.admin
    assert places.admin.size == ADMIN_PLACES


def test_streams_have_places_of_their_own_and_no_turn():
    places, lasting = Places(), RoutePolicy(frozenset({Role.READER}), lasting=True)
    assert places.enter(Caller("a", frozenset()), lasting) is places.streams
    assert places.turns_of(lasting) is None
    assert places.turns_of(RoutePolicy(READER.roles, streams=True)) is places.upload_turns
    assert places.turns_of(READER) is places.turns
    assert places.turns_of(ADMIN) is places.admin_turns


def served_order(waiting, size=2, **held):
    """In which order waiting holders are served as places are given back."""
    order = []

    async def one(turns, holder):
        await turns.wait(holder, 5)
        order.append(holder)

    async def run():
        turns = Turns(size)
        for holder, n in held.items():
            for _ in range(n):
                turns.n_taken += 1
                turns.held[holder] = turns.held.get(holder, 0) + 1
        tasks = []
        for holder in waiting:
            tasks.append(asyncio.create_task(one(turns, holder)))
            await asyncio.sleep(0)
        while len(order) < len(waiting):
            turns.give_back(max(turns.held, key=lambda name: turns.held[name]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        for holder in list(turns.held):
            while holder in turns.held:
                turns.give_back(holder)
        assert (turns.n_taken, turns.held) == (0, {})

    asyncio.run(run())
    return order


def test_who_holds_fewest_is_served_next_and_each_in_order():
    assert served_order(["greedy", "greedy", "new"], greedy=2)[0] == "new"
    assert served_order(["x", "y", "z"], a=1, b=1) == ["x", "y", "z"]


@pytest.mark.parametrize("ends", ["timeout", "cancelled"])
def test_a_wait_that_is_given_up_leaves_no_trace(ends):
    async def run():
        turns = Turns(1)
        await turns.wait("a", 1)
        waiting = asyncio.create_task(turns.wait("b", 0.01 if ends == "timeout" else 5))
        await asyncio.sleep(0)
        if ends == "cancelled":
            waiting.cancel()
        with pytest.raises(Unavailable if ends == "timeout" else asyncio.CancelledError):
            await waiting
        turns.give_back("a")
        assert (turns.n_taken, turns.held, turns._waiting) == (0, {}, {})

    asyncio.run(run())


def test_a_turn_that_comes_as_its_waiter_is_cancelled_goes_to_the_next():
    async def run():
        turns = Turns(1)
        await turns.wait("a", 1)
        first = asyncio.create_task(turns.wait("b", 5))
        second = asyncio.create_task(turns.wait("c", 5))
        await asyncio.sleep(0)
        turns.give_back("a")
        first.cancel()
        await asyncio.wait_for(second, 30)
        assert first.cancelled()
        assert turns.held == {"c": 1}

    asyncio.run(run())
