"""When mornings and shifts are due, and what is forecast then."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app.core.errors import InvalidInput
from app.regions.shifts import DEFAULT_SHIFTS
from app.subscriptions.occasions import due_by_clock, selector_of
from app.subscriptions.spec import SubscriptionSpec, check_name

ZONE = "America/Toronto"


def spec(occasion="shift", **more) -> SubscriptionSpec:
    return SubscriptionSpec(occasion, "folder", "desk", **more).checked()


def due(one: SubscriptionSpec, now: str, timezone: str = ZONE) -> dict[str, str]:
    found = due_by_clock(one, timezone, DEFAULT_SHIFTS, datetime.fromisoformat(now))
    return {each.occasion: each.at.astimezone(UTC).strftime("%d %H:%M") for each in found}


def test_a_morning_is_due_from_its_hour_until_midnight():
    morning = spec("morning", at_hour=6)
    assert due(morning, "2026-01-10T05:59-05:00") == {}
    for now in ("06:00", "23:59"):
        found = due(morning, f"2026-01-10T{now}-05:00")
        assert found == {"morning:2026-01-10": "10 11:00"}
    assert due(morning, "2026-01-11T00:00-05:00") == {}


def test_a_morning_whose_hour_the_clock_skips_is_due_once():
    skipped = spec("morning", at_hour=2)
    assert due(skipped, "2026-03-08T06:30+00:00") == {}
    assert list(due(skipped, "2026-03-08T07:05+00:00")) == ["morning:2026-03-08"]


def test_a_shift_is_due_before_it_starts_and_until_it_ends():
    late = spec(shifts=("late",), lead_minutes=30)
    assert due(late, "2026-01-10T13:29-05:00") == {}
    for now in ("13:30", "14:00", "21:59"):
        assert due(late, f"2026-01-10T{now}-05:00") == {"shift:2026-01-10/late": "10 18:30"}
    assert due(late, "2026-01-10T22:00-05:00") == {}


def test_two_shifts_are_due_while_one_is_about_to_follow():
    assert list(due(spec(lead_minutes=60), "2026-01-10T21:30-05:00")) == [
        "shift:2026-01-10/late",
        "shift:2026-01-10/night",
    ]


def test_a_night_belongs_to_the_day_on_which_it_starts():
    night = spec(shifts=("night",))
    assert list(due(night, "2026-01-11T03:00-05:00")) == ["shift:2026-01-10/night"]


def test_each_day_has_its_shifts_once_over_a_change_of_clocks():
    seen = set()
    now = datetime(2026, 3, 6, tzinfo=UTC)
    while now < datetime(2026, 3, 11, tzinfo=UTC):
        seen |= set(due(spec(), now.isoformat()))
        now += timedelta(minutes=5)
    days = [f"2026-03-{day:02d}" for day in range(6, 11)]
    wanted = {f"shift:{day}/{name}" for day in days for name in DEFAULT_SHIFTS}
    assert seen - wanted == {"shift:2026-03-05/night", "shift:2026-03-05/late"}
    assert wanted - seen == {"shift:2026-03-10/night"}


def test_what_is_forecast():
    tried = datetime(2026, 1, 10, 16, 40, tzinfo=UTC)
    late = selector_of("shift:2026-01-10/late", spec(), ZONE, tried)
    assert (late.shift, late.day, late.start) == ("late", date(2026, 1, 10), None)
    morning = selector_of("morning:2026-01-10", spec("morning"), ZONE, tried)
    assert morning.start == datetime(2026, 1, 10, 11, tzinfo=UTC)
    assert morning.end == datetime(2026, 1, 11, 11, tzinfo=UTC)
    state = selector_of("state:cox-2026/17", spec("state"), ZONE, tried)
    assert (state.model, state.state, state.start) == ("cox-2026", "17", tried.replace(minute=0))
    assert selector_of("test:x", spec("state"), ZONE, tried).model is None


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("at_hour", {"at_hour": 24}),
        ("lead_minutes", {"lead_minutes": -1}),
        ("shifts", {"shifts": ("noon",)}),
        ("formats", {"formats": ("docx",)}),
        ("formats", {"formats": ()}),
        ("n", {"n": 0}),
        ("max_km2", {"max_km2": float("nan")}),
        ("max_km2", {"max_km2": 1e9}),
        ("lang", {"lang": "fr"}),
        ("target", {"target": "fax"}),
        *(("address", {"address": one}) for one in ("../up", "/abs", "a/../b", ".hidden", "a//b")),
        *(
            ("address", {"target": "email", "address": one})
            for one in ("desk", "a@b\nBcc: c@d", "a@b, c@d", "Desk <a@b>", "x" * 70 + "@b")
        ),
    ],
)
def test_what_is_wrong_is_named(field, change):
    known = {"occasion": "shift", "target": "folder", "address": "desk"}
    with pytest.raises(InvalidInput) as refused:
        SubscriptionSpec(**{**known, **change}).checked()
    assert refused.value.field == field


def test_a_specification_is_stored_and_restored():
    one = spec(shifts=("late", "night"), formats=("gpx",), max_km2=1.5)
    assert SubscriptionSpec.from_json({**one.to_json(), "later": 1}) == one
    with pytest.raises(InvalidInput):
        check_name("Desk")
