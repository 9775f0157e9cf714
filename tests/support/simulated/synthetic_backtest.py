"""A small city and hand-made models."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation.backtests.execute import Protocol, fit_and_score, tasks_of
from app.geo.grid import Grid, build_grid
from app.geo.hour_of_week import windows_of
from app.geo.study_area import to_metres
from app.geo.synthetic import CATEGORIES, CRS, TIMEZONE, SyntheticCity, synthetic_city
from models.base import DensityModel
from models.incidents import Incidents
from models.units import DAY_S

QUICK = ("uniform", "pooled-kde", "window-kde")
HORIZON_DAYS = 14


class Fixed(DensityModel):
    """A model whose tables are given."""

    name = "fixed"

    def __init__(self, probability, area_km2=None, category_density=None):
        self.probability_ = np.atleast_2d(np.asarray(probability, float))
        n_cells = self.probability_.shape[1]
        self.area_km2_ = np.ones(n_cells) if area_km2 is None else np.asarray(area_km2, float)
        self.category_density_ = category_density or {}

    def fit(self, incidents, cells, context):
        return self


@pytest.fixture(scope="session")
def fixed_model() -> type[Fixed]:
    return Fixed


@pytest.fixture(scope="session")
def city() -> SyntheticCity:
    return synthetic_city(0)


@pytest.fixture(scope="session")
def grid(city) -> Grid:
    return build_grid(city.area, 500.0)


def _as_incidents(frame) -> Incidents:
    x_m, y_m = to_metres(frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), CRS)
    time_s = frame["occurred_at"].dt.as_unit("s").astype("int64").to_numpy()
    code = {name: i for i, name in enumerate(CATEGORIES)}
    return Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        time_s,
        windows_of(time_s, TIMEZONE),
        frame["category"].map(code).to_numpy(np.int16),
    )


@pytest.fixture(scope="session")
def as_incidents():
    """Turns a drawn frame into columns."""
    return _as_incidents


@pytest.fixture(scope="session")
def incidents(city, grid) -> Incidents:
    drawn = _as_incidents(city.draw(n_days=200, per_day=40, seed=1))
    return drawn.take(grid.locate(drawn.x_m, drawn.y_m) >= 0)


@pytest.fixture(scope="module")
def origins(incidents):
    end = int(incidents.time_s[-1]) + 1
    return (end - 2 * HORIZON_DAYS * DAY_S, end - HORIZON_DAYS * DAY_S)


@pytest.fixture(scope="module")
def protocol(origins):
    return Protocol(QUICK, origins, HORIZON_DAYS)


@pytest.fixture(scope="module")
def results(incidents, grid, protocol):
    return [fit_and_score(incidents, grid, t, protocol) for t in tasks_of(protocol)]
