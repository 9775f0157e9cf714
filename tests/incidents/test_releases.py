"""Steps of releases: whole days, never fewer than twenty new incidents, nothing lost."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.errors import InvalidInput, NotReady
from app.incidents.release_cuts import checked_release
from app.incidents.releases import (
    NO_RELEASE,
    _steps,
    advance,
    known_categories,
    last_step,
    minimum_of,
    released_until,
    settle_exact,
)
from app.incidents.service import UploadSource, ingest
from app.regions.learning_policy import SETTINGS_PATH
from app.regions.service import add_region
from app.regions.store import get_region
from app.releases import store
from app.releases.store import LONG_AGO, MIN_GROUP
from tests.support.simulated.made_forecasts import region_of

FIRST = date(2024, 1, 1)
NOW = datetime(2024, 3, 1, tzinfo=UTC)
COUNTS = st.lists(st.integers(1, 2 * MIN_GROUP), max_size=12)


def days_of(counts, late=0):
    """What no release holds: late arrivals, then so many of each day."""
    days = [(None, None, late)] if late else []
    for k, n in enumerate(counts):
        ends = datetime(2024, 1, 2, tzinfo=UTC) + timedelta(days=k)
        days.append((FIRST + timedelta(days=k), ends, n))
    return days


@given(COUNTS, st.integers(0, 2 * MIN_GROUP), st.integers(0, 12))
def test_each_step_is_large_enough_ends_with_a_day_and_no_incident_is_lost(counts, late, ended):
    days = days_of(counts, late)
    now = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=ended)
    known = [n for _, ends, n in days if ends is None or ends <= now]
    before = datetime(2023, 12, 31, tzinfo=UTC)
    steps = _steps(days, before, now)
    assert all(n >= MIN_GROUP for _, n in steps)
    assert sum(n for _, n in steps) in (0, sum(known))
    if sum(known) >= MIN_GROUP:
        assert steps, "enough is never held back"
    instants = [instant for instant, _ in steps]
    assert instants == sorted(set(instants))
    assert set(instants) <= {before, *(ends for _, ends, _ in days)}
    assert all(instant <= max(now, before) for instant in instants)


@pytest.mark.parametrize(
    ("counts", "late", "sizes"),
    [
        ([MIN_GROUP, MIN_GROUP - 1], 0, [2 * MIN_GROUP - 1]),
        ([5, MIN_GROUP - 5, MIN_GROUP], 0, [MIN_GROUP, MIN_GROUP]),
        ([MIN_GROUP - 1], 0, []),
        ([1], MIN_GROUP, [MIN_GROUP + 1]),
        ([], MIN_GROUP, [MIN_GROUP]),
        ([], MIN_GROUP - 1, []),
    ],
)
def test_a_remainder_joins_the_last_day_and_late_arrivals_the_next(counts, late, sizes):
    steps = _steps(days_of(counts, late), datetime(2023, 12, 31, tzinfo=UTC), NOW)
    assert [n for _, n in steps] == sizes


def test_late_arrivals_make_no_release_where_there_was_none():
    assert _steps(days_of([], MIN_GROUP), LONG_AGO, NOW) == []


@given(COUNTS)
def test_the_last_step_of_a_category_has_twenty_new_ones_behind_it(counts):
    steps = list(enumerate(counts, 1))
    found = last_step(steps)
    after = sum(n for step, n in steps if step > found)
    assert after < MIN_GROUP
    assert (found == 0) == (sum(counts) < MIN_GROUP)


def test_readers_see_categories_of_the_policys_minimum_and_never_of_fewer():
    assert minimum_of(region_of()) == MIN_GROUP
    for asked, minimum in ((3, MIN_GROUP), (50, 50)):
        outer, inner = SETTINGS_PATH
        settings = {outer: {inner: {"minimum_count": asked}}}
        assert minimum_of(region_of(settings=settings)) == minimum


@pytest.fixture
def region(engine, settings):
    """A region, and a function that adds so many incidents of a day."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions CASCADE"))
    add_region(engine, "steps", timezone="America/Bogota", cell_size_m=250.0)

    def add(n, day=1, category="theft"):
        lines = [
            f"2024-01-{day:02d}T12:{k % 60:02d}:{k // 60:02d},-74.0{k:03d},4.65,{category}\n"
            for k in range(n)
        ]
        body = ("occurred_at,longitude,latitude,category\n" + "".join(lines)).encode()
        done = ingest(engine, "steps", [body], UploadSource("text/csv"), settings=settings)
        assert done.accepted == n

    return add


@pytest.fixture
def begun(engine, region):
    """A function that opens what the region is now."""

    def ask(work):
        with engine.begin() as connection:
            return work(connection, get_region(connection, "steps"))

    return ask


def test_what_waits_is_released_with_what_makes_it_twenty(region, begun):
    region(MIN_GROUP + 1)
    first = begun(advance)
    assert (first.seq, first.n_incidents) == (1, MIN_GROUP + 1)
    assert first.until == datetime(2024, 1, 2, 5, tzinfo=UTC), "the local day's end"
    region(MIN_GROUP - 1, day=2)
    assert begun(advance) == first
    region(1, day=3)
    second = begun(advance)
    assert (second.seq, second.n_incidents) == (2, 2 * MIN_GROUP + 1)
    assert begun(advance) == second


def test_rare_categories_are_neither_known_nor_to_be_named(region, begun):
    region(MIN_GROUP, category="theft")
    region(MIN_GROUP - 1, day=2, category="arson")
    assert begun(known_categories) == {"other"}, "theft alone would tell how many the others are"
    asked = begun(lambda c, r: released_until(c, r, None, ["theft"]))
    assert asked.n_incidents == 2 * MIN_GROUP - 1
    for name in ("arson", "nothing"):
        with pytest.raises(InvalidInput, match=f"'{name}' has fewer than {MIN_GROUP} released"):
            begun(lambda c, r, name=name: released_until(c, r, None, [name]))


def test_an_exact_result_may_be_shown_only_when_twenty_are_new_or_nobody_has_looked(region, begun):
    region(MIN_GROUP - 1)
    assert begun(settle_exact) is False
    region(1, day=2)
    assert begun(settle_exact) is True, "the first release"
    assert begun(settle_exact) is True, "the same again"
    region(1, day=3)
    assert begun(settle_exact) is False, "one more than a reader has seen"
    region(MIN_GROUP - 1, day=4)
    assert begun(settle_exact) is True


def test_a_release_of_which_a_few_went_is_refused_and_of_which_many_went_is_counted_anew(
    region, begun
):
    region(4 * MIN_GROUP)
    begun(advance)
    with pytest.raises(NotReady, match="fewer than 20 incidents are released"):
        begun(lambda c, r: checked_release(c, r, NO_RELEASE))

    def remove(n):
        return lambda c, r: c.execute(
            text("DELETE FROM incidents WHERE id IN (SELECT id FROM incidents LIMIT :n)"), {"n": n}
        )

    begun(remove(1))
    with pytest.raises(NotReady, match="were corrected since; train on a later one"):
        begun(lambda c, r: checked_release(c, r, 1))
    begun(remove(MIN_GROUP - 1))
    assert begun(lambda c, r: checked_release(c, r, 1)).seq == 1
    assert begun(lambda c, r: store.get(c, r.key, 1)).n_incidents == 3 * MIN_GROUP
