"""Days that a feed did not deliver: found, left out of what is expected; quiet days are believed."""

from datetime import UTC, datetime

import numpy as np
import pytest

from models.counts.fit import fit_season
from models.counts.missing_days import missing_days
from models.counts.model import CountModel
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.simulated_counts import MONDAY_S, simulate, slots_of

WEEKS = 60
N_DAYS = 7 * WEEKS


def simulated(seed: int = 3, level: float = 1.5):
    slots = slots_of(WEEKS * N_WINDOWS)
    return slots, simulate(np.random.default_rng(seed), slots, level, slot=0.02, day=0.01)


def arrived(count, share_of_day):
    """What has come of each day's incidents."""
    share = np.repeat(share_of_day, 24)
    return np.random.default_rng(4).binomial(count, share)


def gap(first_day, last_day, strays=0.0):
    share = np.ones(N_DAYS)
    share[first_day : last_day + 1] = strays
    return share


def fading(days):
    """The latest days of a feed whose incidents come within so many days."""
    return np.minimum((np.arange(N_DAYS, 0, -1) - 0.5) / days, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "share",
    [
        gap(N_DAYS - 150, N_DAYS - 25),
        gap(N_DAYS - 150, N_DAYS - 25, strays=0.03),
        gap(N_DAYS - 5, N_DAYS - 1),
        fading(28),
        fading(10),
        gap(N_DAYS - 200, N_DAYS - 80) * fading(20),
    ],
    ids=["gap", "gap with strays", "stopped", "late", "a little late", "gap and late"],
)
def test_what_was_not_delivered_does_not_look_quiet(share):
    slots, count = simulated()
    ahead = slots_of(4 * N_WINDOWS, first=len(slots))
    whole = CountModel.fit(slots, count)
    model = CountModel.fit(slots, arrived(count, share))
    assert model.undelivered_s
    assert model.mean(ahead).sum() == pytest.approx(whole.mean(ahead).sum(), rel=0.1)
    assert model.dispersion < whole.dispersion + 0.05


@pytest.mark.slow
def test_a_gap_is_told_by_its_days():
    slots, count = simulated()
    model = CountModel.fit(slots, arrived(count, gap(200, 319)))
    assert model.undelivered_s == ((MONDAY_S + 200 * DAY_S, MONDAY_S + 320 * DAY_S),)
    assert datetime.fromtimestamp(model.undelivered_s[0][0], UTC).hour == 0


def test_a_season_is_told_from_the_weeks_that_came():
    slots = slots_of(150 * N_WINDOWS)
    season = 1 + 0.3 * np.cos(2 * np.pi * (slots.time_s - MONDAY_S) / (365.25 * DAY_S))
    count = np.random.default_rng(2).poisson(4.0 * season).astype(float)
    came = np.ones(len(slots), bool)
    came[70 * N_WINDOWS + 24 : 87 * N_WINDOWS] = False
    found = fit_season(slots.take(came), count[came])
    assert found == pytest.approx(fit_season(slots, count), abs=0.03)
    assert len(found) == 4


def _halved(day):
    return np.where(day > N_DAYS - 50, 0.5, 1.0)


def _dead_sundays(day):
    return np.where(day % 7 == 6, 0.0, 1.0)


def _growing(day):
    return 0.5 ** ((N_DAYS - day) / 150)


def _seasonal(day):
    return 0.65 + 0.35 * np.cos(2 * np.pi * day / 365.25)


@pytest.mark.parametrize("course", [_halved, _dead_sundays, _growing, _seasonal])
@pytest.mark.parametrize("per_day", [0.3, 2.0, 30.0])
def test_quiet_days_are_believed(course, per_day):
    rng = np.random.default_rng(5)
    day = np.arange(N_DAYS)
    for _ in range(20):
        rate = per_day * course(day) * rng.gamma(20, 1 / 20, N_DAYS)
        assert not missing_days(rng.poisson(rate).astype(float)).any()


@pytest.mark.parametrize("n", [0, 1, 30, 100])
def test_short_and_empty_series_are_taken_as_they_are(n):
    assert not missing_days(np.zeros(n)).any()
    assert not missing_days(np.full(n, 2.0)).any()
