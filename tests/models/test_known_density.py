"""On a city whose density is known, scores approach the truth's as data grows."""

import numpy as np
import pytest

from app.geo.grid import build_grid
from models.base import FitContext
from models.catalog import create_model
from models.evaluation.metrics import score_incidents
from models.units import DAY_S

START_S = 1_546_300_800
DAYS = (40, 160, 640)


@pytest.fixture(scope="module")
def coarse(city):
    return build_grid(city.area, 700.0)


@pytest.fixture(scope="module")
def judged(city, coarse, fixed_model, as_incidents):
    """Cells and windows of 20,000 fresh incidents, and the truth's mean log density on them."""
    test = as_incidents(city.draw(n_days=200, per_day=100, seed=77))
    rows = coarse.locate(test.x_m, test.y_m)
    rows, window = rows[rows >= 0], test.window[rows >= 0]
    truth = fixed_model(city.cell_probability(coarse), coarse.area_km2)
    return rows, window, score_incidents(truth, rows, window)


@pytest.fixture(scope="module")
def history(city, as_incidents):
    return as_incidents(city.draw(n_days=max(DAYS), per_day=40, seed=5))


def gaps(name, history, coarse, judged):
    rows, window, truth = judged
    found = []
    for days in DAYS:
        cutoff_s = START_S + days * DAY_S
        model = create_model(name).fit(history.before(cutoff_s), coarse, FitContext(cutoff_s))
        found.append(float((truth.log_density - model.log_density(rows, window)).mean()))
    return found


def test_truth_scores_are_calibrated(judged):
    pit_values = judged[2].pit_values
    shares, _ = np.histogram(pit_values, bins=10, range=(0, 1))
    np.testing.assert_allclose(shares / len(pit_values), 0.1, atol=0.01)


def test_pooled_model_falls_short_of_the_truth_by_what_hours_are_worth(history, coarse, judged):
    found = gaps("pooled-kde", history, coarse, judged)
    assert found[0] > found[2] > 0


@pytest.mark.slow
def test_stack_approaches_the_truth_as_data_grows(history, coarse, judged):
    found = gaps("stack", history, coarse, judged)
    assert found[0] > found[1] > found[2] > 0
    assert found[2] < 0.6 * found[0]
    assert found[2] < gaps("pooled-kde", history, coarse, judged)[2]
