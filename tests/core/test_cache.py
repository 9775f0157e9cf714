"""Caches: bounded by bytes and by time, whatever is put in and by whom."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.caching.cache import IDLE_S, MAX_BRIEF, BoundedCache, TTLCache
from app.core.roles import acting_as

steps = st.lists(
    st.tuples(st.sampled_from(["put", "get", "discard"]), st.integers(0, 7), st.integers(0, 60))
)


@given(steps)
def test_it_holds_the_most_recently_used_within_its_bytes(steps):
    cache, expected = BoundedCache(100), {}
    for step, key, size in steps:
        if step == "put" and size <= 100:
            expected.pop(key, None)
            expected[key] = size
            cache.put(key, str(size), size)
            while sum(expected.values()) > 100:
                del expected[next(iter(expected))]
        elif step == "get":
            found = cache.get(key, str)
            assert found == (str(expected[key]) if key in expected else None)
            if key in expected:
                expected[key] = expected.pop(key)
        elif step == "discard":
            expected.pop(key, None)
            cache.discard(key)
        assert cache.used_bytes == sum(expected.values()) <= 100


def test_a_flood_of_one_caller_or_region_throws_out_its_own(monkeypatch):
    cache = BoundedCache(100)
    with acting_as("quiet"):
        for number in range(3):
            cache.put(("reply", "town", number), "x", 5)
        cache.put(("reply", "village", 0), "x", 5)
    with acting_as("flood"):
        for number in range(100):
            cache.put(("reply", "town", 100 + number), "x", 5)
    with acting_as("quiet"):
        for number in range(100):
            cache.put(("reply", "city", number), "x", 5)
        assert [cache.get(("reply", "town", n), str) for n in range(3)] == ["x"] * 3
        assert cache.get(("reply", "village", 0), str) == "x"
    assert cache.used_bytes == 100
    later_s = time.monotonic() + IDLE_S + 1
    monkeypatch.setattr("app.core.caching.cache.time.monotonic", lambda: later_s)
    with acting_as("new"):
        for number in range(20):
            cache.put(("reply", "hamlet", number), "x", 5)
        assert [cache.get(("reply", "hamlet", n), str) for n in range(20)] == ["x"] * 20


def test_what_two_use_counts_for_the_one_with_less_and_the_last_thing_used_stays():
    cache = BoundedCache(100)
    with acting_as("flood"):
        cache.put(("ground", "a"), "x", 60)
        cache.put(("reply", "a"), "x", 5)
    with acting_as("quiet"):
        assert cache.get(("reply", "a"), str) == "x"
    with acting_as("flood"):
        for number in range(50):
            cache.put(("reply", "b", number), "x", 5)
        assert cache.get(("ground", "a"), str) == "x"
        assert cache.get(("reply", "a"), str) == "x"
    assert cache.used_bytes <= 100


def test_what_is_larger_than_the_cache_or_of_another_kind_is_not_found():
    cache = BoundedCache(10)
    cache.put("large", b"x", 11)
    cache.put("text", "x", 10)
    assert cache.get("large", bytes) is None
    assert cache.get("text", bytes) is None
    assert cache.get("text", str) == "x"


def test_keys_are_discarded_by_a_condition():
    cache = BoundedCache(10)
    for key in (("a", 1), ("a", 2), ("b", 1), "a"):
        cache.put(key, "x", 1)
    cache.discard_where(lambda key: key[0] == "a")
    assert [cache.get(k, str) for k in (("a", 1), ("a", 2), ("b", 1), "a")] == [
        None,
        None,
        "x",
        "x",
    ]
    assert cache.used_bytes == 2


def test_many_threads_make_one_value_once():
    cache, made = BoundedCache(100), []
    start = threading.Barrier(12)

    def make():
        time.sleep(0.05)
        made.append(1)
        return "value"

    def ask(_):
        start.wait()
        return cache.get_or_make("key", str, make, lambda _: 1)

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == ["value"] * 12
    assert made == [1]


def test_a_failure_reaches_its_caller_and_the_next_one_tries_again():
    cache = BoundedCache(100)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("key", int, lambda: 1 // 0, lambda _: 1)
    assert cache.get_or_make("key", int, lambda: 7, lambda _: 1) == 7
    assert cache.get_or_make("key", int, lambda: 1 // 0, lambda _: 1) == 7


def test_values_end_with_their_time():
    memory = TTLCache()
    memory.keep("key", "long", 1, 60)
    memory.keep("key", "over", 2, 0)
    memory.keep("other", "long", 3, 60)
    assert memory.recall("key", "long", int) == 1
    assert memory.recall("key", "over", int) is None
    assert memory.recall("key", "long", str) is None
    assert memory.names("key") == ["long"]
    memory.forget("key", "long")
    assert memory.names("key") == []
    assert memory.recall("other", "long", int) == 3


def test_expired_names_do_not_add_up():
    memory = TTLCache()
    memory.keep("key", "long", 1, 60)
    for number in range(3 * MAX_BRIEF):
        memory.keep("key", str(number), 1, 0)
        assert len(memory._items) <= MAX_BRIEF
    assert memory.recall("key", "long", int) == 1
