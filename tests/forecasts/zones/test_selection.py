"""Zones of a forecast whose every number is known."""

import numpy as np
import pytest

from app.core.errors import InvalidInput, LimitExceeded
from app.forecasts.zones.selection import MAX_CELLS, ZoneOptions
from tests.support.simulated.made_forecasts import chosen_zones, forecast_of


def test_the_likeliest_cells_are_found_and_compared_with_free_ones():
    """Cells 1 to 11 of 500 m, the last ones likeliest: 4 x 3 without the upper right one."""
    forecast = forecast_of()
    ragged = chosen_zones(forecast, ZoneOptions(n=1, max_km2=1.0))
    assert [zone.tolist() for zone in ragged.rows] == [[6, 8, 9, 10]]
    assert ragged.perimeter(ragged.rows[0]) == 10
    chosen = chosen_zones(forecast, ZoneOptions(n=1, max_km2=1.0, compactness=1.0))
    assert [zone.tolist() for zone in chosen.rows] == [[5, 6, 9, 10]]
    assert sorted(chosen.free.tolist()) == [7, 8, 9, 10]
    assert chosen.area_km2 == pytest.approx(1.0)
    assert chosen.bound == pytest.approx((8 + 9 + 10 + 11) / 66)
    assert chosen.perimeter(chosen.rows[0]) == 8


def test_two_zones_may_be_worth_more_than_one():
    chosen = chosen_zones(forecast_of(), ZoneOptions(n=2, max_km2=1.0))
    assert sorted(np.concatenate(chosen.rows).tolist()) == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("max_km2", "error"), [(0.2, InvalidInput), (0.25 * MAX_CELLS + 0.1, LimitExceeded)]
)
def test_a_budget_that_holds_no_cell_or_too_many_is_refused(max_km2, error):
    with pytest.raises(error) as refused:
        chosen_zones(forecast_of(), ZoneOptions(max_km2=max_km2))
    assert refused.value.field == "max_km2"
