"""Hardly any incidents are not taken at their word."""

from __future__ import annotations

import numpy as np
import pytest

from app.geo.grid import build_grid
from app.geo.synthetic import synthetic_city
from models.base import FitContext
from models.catalog import create_model
from models.densities.small_sample import FULL_STRENGTH, correction_strength, shrink_to_uniform
from tests.resilience.attacks.degenerate import N_FEW
from tests.support.simulated.city_rows import city_rows, incidents_of

MODELS = ("maf", "pooled-kde", "multi-kde", "window-kde", "recent-kde", "gmm")
CELLS = build_grid(synthetic_city().area, 1000.0)


def nats(model, incidents):
    rows = CELLS.locate(incidents.x_m, incidents.y_m)
    return model.log_density(rows[rows >= 0], incidents.window[rows >= 0]).mean()


@pytest.mark.parametrize("name", MODELS)
def test_sixty_incidents_are_not_learnt_by_heart(name):
    known, others = incidents_of(city_rows(N_FEW, 11)), incidents_of(city_rows(2000, 12))
    cutoff_s = int(known.time_s[-1]) + 1
    fitted = create_model(name).fit(known, CELLS, FitContext(cutoff_s))
    uniform = create_model("uniform").fit(known, CELLS, FitContext(cutoff_s))
    assert nats(fitted, known) - nats(fitted, others) <= 0.45
    assert nats(fitted, others) > nats(uniform, others)


def test_many_incidents_are():
    assert (
        correction_strength(FULL_STRENGTH - 1)
        < correction_strength(FULL_STRENGTH)
        == correction_strength(10**7)
        == 1.0
    )
    sharp = np.eye(3)
    area = np.array([1.0, 1.0, 2.0])
    assert np.allclose(shrink_to_uniform(sharp, 10**7, area), sharp, atol=1e-6)
    assert np.allclose(shrink_to_uniform(sharp, 60, area).sum(axis=1), 1)
