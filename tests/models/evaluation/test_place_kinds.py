"""Kinds of places: false rates at most the level, power shown, corrected for the number of places."""

import numpy as np
import pytest

from models.evaluation.place_kinds import LEVEL, PlaceCounts, judged

CITY_RECENT, CITY_BEFORE = 2_500, 10_000
N = 600
AREA_SHARE = 0.002
"""Of nine cells in a city of some thousands: it expects 20 incidents a year."""


def kinds_of(recent_rate, before_rate, n=N, seed=0):
    """Shares of kinds among simulated places, rates as multiples of the city's average."""
    rng = np.random.default_rng(seed)
    recent = rng.poisson(CITY_RECENT * AREA_SHARE * recent_rate, n)
    before = rng.poisson(CITY_BEFORE * AREA_SHARE * before_rate, n)
    found = [
        judged([PlaceCounts(int(k), int(m), CITY_RECENT, CITY_BEFORE, AREA_SHARE)])[0].kind
        for k, m in zip(recent, before, strict=True)
    ]
    return {kind: found.count(kind) / n for kind in set(found)}


def margin(n=N):
    """Three standard errors of a share of `LEVEL`."""
    return 3 * np.sqrt(LEVEL * (1 - LEVEL) / n)


@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_an_unchanged_average_place_is_seldom_called_anything(rate):
    assert kinds_of(rate, rate).get("occasional", 0) >= 1 - LEVEL - margin()


@pytest.mark.parametrize("rate", [3.0, 10.0])
def test_an_unchanged_hotspot_is_seldom_called_fading_or_new(rate):
    found = kinds_of(rate, rate)
    assert found.get("fading", 0) + found.get("new", 0) <= LEVEL + margin()
    assert found["lasting"] >= 1 - LEVEL - margin()


def test_changes_of_a_clear_size_are_found():
    assert kinds_of(6.0, 1.0)["new"] > 0.9
    assert kinds_of(1.0, 4.0)["fading"] > 0.75


def test_many_unchanged_places_together_are_seldom_called_anything():
    """Twelve at once: without correction most questions would have a false answer."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(80):
        counts = rng.poisson([CITY_RECENT * AREA_SHARE, CITY_BEFORE * AREA_SHARE], (12, 2)).tolist()
        places = [PlaceCounts(k, m, CITY_RECENT, CITY_BEFORE, AREA_SHARE) for k, m in counts]
        wrong += any(verdict.kind != "occasional" for verdict in judged(places))
    assert wrong / 80 <= LEVEL + margin(80)


def test_a_growing_hotspot_lasts_and_says_that_it_grows():
    (verdict,) = judged([PlaceCounts(60, 80, CITY_RECENT, CITY_BEFORE, AREA_SHARE)])
    assert (verdict.kind, verdict.change) == ("lasting", "up")


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (0, 0, 5, 0), (3, 0, 3, 0), (0, 4, 0, 4)])
def test_cities_without_incidents_before_or_since_are_judged(counts):
    assert judged([PlaceCounts(*counts, 0.9)])[0].kind == "occasional"
