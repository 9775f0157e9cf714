"""A plan that follows the one before: zones stay unless another is better beyond chance."""

from dataclasses import replace

import numpy as np
import pytest

from app.forecasts.zones.selection import Ground, ZoneOptions
from app.forecasts.zones.stability import followed
from tests.support.simulated.made_forecasts import forecast_of, square_area, version_of

OPTIONS = ZoneOptions(n=2, max_km2=2.0)


@pytest.fixture(scope="module")
def ground():
    forecast = forecast_of(version_of(square_area(8, 6)))
    random = np.random.default_rng(2)
    probability = random.gamma(1.0, size=len(forecast.cells))
    return Ground.of(replace(forecast, probability=probability / probability.sum()), OPTIONS)


def members(zones):
    return sorted(tuple(zone.tolist()) for zone in zones)


@pytest.mark.slow
def test_the_best_plan_stays_as_it_is(ground):
    best = ground.best(2, 2.0)
    found = followed(ground, best)
    assert members(found.zones) == members(best)
    assert found.status == ["kept", "kept"]
    assert found.to_json()["moved"] == 0


def test_far_worse_zones_move_to_the_best_plan(ground):
    worst = np.argsort(ground.forecast.probability)[:1]
    found = followed(ground, [worst])
    assert members(found.zones) == members(ground.best(2, 2.0))
    assert found.status == ["moved", "new"]
    (former,) = found.to_json()["zones"]
    assert former["status"] == "moved"
    assert former["gain_lo"] > 1


def test_slightly_worse_zones_stay_and_the_rest_of_the_budget_is_searched(ground):
    best = ground.best(2, 2.0)
    probability = ground.forecast.probability.copy()
    probability[best[0]] *= 0.97
    other = Ground.of(
        replace(ground.forecast, probability=probability / probability.sum()), OPTIONS
    )
    found = followed(other, [best[0]])
    assert found.status[0] == "kept"
    assert np.array_equal(found.zones[0], best[0])
    area = sum(other.forecast.cells.area_km2[zone].sum() for zone in found.zones)
    assert area <= 2.0 + 1e-9
    around = set(other.neighbours[best[0]].ravel().tolist()) | set(best[0].tolist())
    assert all(around.isdisjoint(zone.tolist()) for zone in found.zones[1:])


def test_zones_beyond_number_area_or_what_is_allowed_move(ground):
    best = ground.best(2, 2.0)
    without = Ground.of(ground.forecast, OPTIONS, best[0][:1])
    found = followed(without, best)
    assert "moved" in [status for status, _ in found.former]
    assert all(best[0][0] not in zone for zone in found.zones)
    less = Ground.of(ground.forecast, replace(OPTIONS, max_km2=0.25))
    found = followed(less, best)
    assert sum(less.forecast.cells.area_km2[zone].sum() for zone in found.zones) <= 0.25 + 1e-9
