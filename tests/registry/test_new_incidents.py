"""Stored incidents as a version reads them: what it took for unknown times are days."""

import numpy as np
import pytest

from app.geo.hour_of_week import windows_of
from app.incidents.column_store import IncidentColumns
from app.registry.new_incidents import incidents_of
from models.units import DAY_S, HOUR_S

N = 400
NOON = {"placeholder_chance": [0.0, 1.0]}


def columns_at(seconds_of_day, names=("theft",), category=None):
    """Incidents of as many days, at this time of theirs, UTC."""
    time_s = np.arange(N, dtype=np.int64) * DAY_S + seconds_of_day
    place = np.zeros(N, np.float32)
    kind = np.zeros(N, np.int32) if category is None else category
    return IncidentColumns(
        place, place, time_s, time_s, windows_of(time_s, "UTC"), kind, list(names)
    )


def hours_of_day(known):
    hours = known.by_hour()
    return np.bincount(hours.window % 24, hours.weight, 24)


def test_what_a_version_took_for_a_placeholder_counts_over_its_day():
    noon = columns_at(12 * HOUR_S + 60)
    facts = {"inexact_times": [{"category": "theft", **NOON}]}
    found = incidents_of(noon, "UTC", facts)
    np.testing.assert_allclose(hours_of_day(found), N / 24, rtol=1e-6)
    assert (found.intervals.start_s == np.arange(N) * DAY_S).all()
    for other in (None, {}, {"inexact_times": []}):
        assert hours_of_day(incidents_of(noon, "UTC", other))[12] == N
    later = columns_at(12 * HOUR_S + 120)
    assert hours_of_day(incidents_of(later, "UTC", facts))[12] == N


def test_a_chance_spreads_its_share_of_the_records():
    facts = {"inexact_times": [{"category": "theft", "placeholder_chance": [0.5, 0.0]}]}
    found = hours_of_day(incidents_of(columns_at(0), "UTC", facts))
    assert found[0] == pytest.approx(N * (0.5 + 0.5 / 24), abs=4 * np.sqrt(N) / 2)
    assert found.sum() == pytest.approx(N)


def test_kinds_without_a_row_of_their_own_are_those_of_few_incidents():
    names = ("theft", "arson")
    noon = columns_at(12 * HOUR_S, names, (np.arange(N) % 2).astype(np.int32))
    rows = [{"category": "theft", "placeholder_chance": [0.0, 0.0]}, {"category": None, **NOON}]
    found = hours_of_day(incidents_of(noon, "UTC", {"inexact_times": rows}))
    assert found[12] == pytest.approx(N / 2 + N / 2 / 24, rel=1e-6)
