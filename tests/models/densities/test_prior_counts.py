"""Last year's counts per cell, and by hour of the week."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import box

from app.geo.grid import build_grid
from app.geo.study_area import StudyArea
from models.base import FitContext
from models.densities.prior_counts import HOUR_PRIOR_INCIDENTS, PriorCounts, PriorCountsHourly
from models.evaluation.metrics import ranked_rows
from models.incidents import Incidents
from models.times.intervals import Intervals
from models.units import DAY_S, HOUR_S

CELLS = build_grid(StudyArea(box(0.0, 0.0, 400.0, 150.0), "EPSG:32617"), 100.0)
"""Eight cells: ids 0..3 are whole squares, 4..7 above them are cut in half."""
CUTOFF_S = 1_000 * DAY_S


def incidents(cells, days_before, windows=None, hours=None):
    """Return an incident in each of some cells, known exactly or over a number of hours."""
    order = np.argsort(-np.asarray(days_before), kind="stable")
    cells, days = np.asarray(cells, np.int64)[order], np.asarray(days_before)[order]
    window = (np.zeros(len(cells)) if windows is None else np.asarray(windows)[order]).astype(
        np.int16
    )
    time_s = (CUTOFF_S - days * DAY_S).astype(np.int64)
    intervals = None
    if hours is not None:
        n_hours = np.asarray(hours)[order]
        touched = np.concatenate([w + np.arange(n) for w, n in zip(window, n_hours, strict=True)])
        even = np.ones(len(touched), np.float32)
        end_s = time_s + n_hours * HOUR_S
        intervals = Intervals.evenly(time_s, end_s, n_hours, touched.astype(np.int16), even)
    x_m, y_m = CELLS.centres_m()
    return Incidents(
        x_m[cells].astype(np.float32),
        y_m[cells].astype(np.float32),
        time_s,
        window,
        np.zeros(len(cells), np.int32),
        intervals=intervals,
    )


def test_probabilities_are_last_years_shares_and_the_floor_is_the_share_of_lone_incidents():
    # Ten incidents of the year: 6, 3 and 1 in cells 2, 1 and 3; older and later ones do not count.
    known = incidents([2] * 6 + [1] * 3 + [3] + [0] * 5, [10] * 9 + [364] + [366] * 5)
    model = PriorCounts().fit(known, CELLS, FitContext(CUTOFF_S))
    assert model.report() == {"incidents": 10, "days": 365, "floor": 0.1}
    expected = 0.9 * np.array([0, 0.3, 0.6, 0.1, 0, 0, 0, 0]) + 0.1 * CELLS.area_km2 / 0.06
    np.testing.assert_allclose(model.probability_, [expected])
    assert PriorCounts(days=9).fit(known, CELLS, FitContext(CUTOFF_S)).n_counted_ == 0


def test_equal_counts_rank_by_area_then_by_id():
    model = PriorCounts().fit(incidents([5, 5, 3, 3, 1, 1], [5] * 6), CELLS, FitContext(CUTOFF_S))
    assert ranked_rows(model.probability_[0]).tolist() == [1, 3, 5, 0, 2, 4, 6, 7]


def test_each_hour_adds_its_own_counts_and_shares_of_intervals():
    # Hour 7 has one exact incident in cell 0; another in cell 1 lies within hours 7 to 10.
    known = incidents([0, 1], [3, 2], windows=[7, 7], hours=[0, 4])
    pooled = PriorCounts().fit(known, CELLS, FitContext(CUTOFF_S))
    hourly = PriorCountsHourly().fit(known, CELLS, FitContext(CUTOFF_S))
    prior = HOUR_PRIOR_INCIDENTS * pooled.probability_[0]
    for window, own in {7: [1, 0.25], 10: [0, 0.25], 11: [0, 0]}.items():
        table = prior + np.array([*own, *[0] * 6])
        np.testing.assert_allclose(hourly.cell_probability(window), table / table.sum(), rtol=1e-7)


def test_without_incidents_it_is_even():
    model = PriorCountsHourly().fit(incidents([], []), CELLS, FitContext(CUTOFF_S))
    np.testing.assert_allclose(model.probability_[5], CELLS.area_km2 / 0.06)
    assert model.floor_ == pytest.approx(0.999)
