"""What a Cox process and a flow make of the hours: planted truths found, nothing seen in noise."""

import numpy as np
import pytest

from models.base import FitContext
from models.densities.cox import Cox, HourTilt
from models.densities.drift import CountTables
from models.densities.maf import HourFlow, Maf
from models.units import N_WINDOWS
from tests.support.simulated.planted_hours import (
    CUTOFF_S,
    drawn,
    mean_log_score,
    planted,
    uneven_backbone,
)
from tests.support.simulated.square_grid import square_grid

NX, NY = 16, 12
CELLS = square_grid(NX, NY)
BACKBONE = uneven_backbone(NX * NY)
FLAT = np.tile(BACKBONE, (N_WINDOWS, 1))
PARTS = {
    "cox": HourTilt,
    "hour last": HourFlow,
    "hour first": lambda: HourFlow("hour first"),
}


def fitted(kind, known):
    tables = CountTables(known, CELLS, CUTOFF_S)
    return PARTS[kind]().fit(tables, BACKBONE, FitContext(CUTOFF_S))


@pytest.mark.parametrize("kind", PARTS)
def test_a_planted_lean_by_hour_is_found(kind):
    truth = planted(CELLS, BACKBONE, 1.0)
    known, fresh = drawn(CELLS, truth, 40_000, 3), drawn(CELLS, truth, 40_000, 4)
    flat = mean_log_score(FLAT, fresh, CELLS)
    gain = mean_log_score(fitted(kind, known).probability_, fresh, CELLS) - flat
    possible = mean_log_score(truth, fresh, CELLS) - flat
    assert gain > 0.8 * possible > 0.03


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("n", [200, 3_000, 40_000])
def test_where_there_is_nothing_to_find_next_to_nothing_is_lost(kind, n):
    known, fresh = drawn(CELLS, FLAT, n, 5), drawn(CELLS, FLAT, 40_000, 6)
    score = mean_log_score(fitted(kind, known).probability_, fresh, CELLS)
    assert score > mean_log_score(FLAT, fresh, CELLS) - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("model", [Cox, Maf])
def test_reports_say_how_much_the_hours_differ(model):
    known = drawn(CELLS, planted(CELLS, BACKBONE, 1.0), 20_000, 3)
    same = drawn(CELLS, FLAT, 20_000, 3)
    lean, none = (
        model().fit(data, CELLS, FitContext(CUTOFF_S)).report()["hours_log_ratio"]
        for data in (known, same)
    )
    assert lean > 3 * none
    assert Cox(hours=None).fit(known, CELLS, FitContext(CUTOFF_S)).probability_.shape[0] == 1
