"""The learned selection knows the past only, and weighs it as the past itself says."""

from dataclasses import replace

import numpy as np
import pytest

from models.base import FitContext, TooFewIncidents
from models.contest.rules import CELL_KM2, SIDE_M, n_cells
from models.contest.scoring import selection_hits
from models.contest.selection import (
    MEMORY_DAYS,
    NOT_LISTED,
    PRIOR_WEIGHTS,
    Places,
    chosen,
    fit_selection,
    learned_weights,
    near_the_best,
)
from models.contest.tilings import plain_squares
from models.incidents import Incidents
from models.units import DAY_S

START_S = 1_600_000_000
N_DAYS = 800
END_S = START_S + N_DAYS * DAY_S
X0_M, Y0_M = 4000 * SIDE_M, 60_000 * SIDE_M


def incidents(x, y, day):
    order = np.argsort(day, kind="stable")
    time_s = (START_S + np.asarray(day)[order] * DAY_S).astype(np.int64)
    n = len(time_s)
    return Incidents(
        (X0_M + np.asarray(x)[order]).astype(np.float32),
        (Y0_M + np.asarray(y)[order]).astype(np.float32),
        time_s,
        np.zeros(n, np.int16),
        np.zeros(n, np.int32),
    )


def town(n=20_000, moves=False, seed=4):
    """Points a block apart with very unequal rates; where `moves`, they are drawn anew every 28 days."""
    rng = np.random.default_rng(seed)
    side = 40
    day = np.sort(rng.uniform(0, N_DAYS, n))
    point = np.empty(n, np.int64)
    for month in range(N_DAYS // 28 + 1):
        if moves or month == 0:
            share = rng.dirichlet(np.full(side**2, 0.1))
        mine = (day >= 28 * month) & (day < 28 * (month + 1))
        point[mine] = rng.choice(side**2, mine.sum(), p=share)
    return incidents(point % side * 130.0, point // side * 130.0, day)


def test_what_comes_later_changes_nothing():
    whole = town(6_000)
    cutoff_s = START_S + 600 * DAY_S
    seen = fit_selection(whole.before(cutoff_s), FitContext(cutoff_s))
    later = whole.take(slice(None))
    after = later.time_s >= cutoff_s
    later = replace(later, x_m=np.where(after, np.float32(X0_M), later.x_m))
    other = fit_selection(later, FitContext(cutoff_s))
    assert seen.ids.tolist() == other.ids.tolist()
    assert seen.expected.tolist() == other.expected.tolist()


def test_rates_count_down_by_half():
    found = Places.of(incidents([0.0, 0.0, 500.0], [0.0, 0.0, 0.0], [0.0, 60.0, 90.0]))
    rates = found.rates(START_S + 90 * DAY_S + 1)
    a, b = np.argsort(found.x_m)
    thirty = rates[MEMORY_DAYS.index(30)]
    assert thirty[a] / thirty[b] == pytest.approx(0.5 + 0.125, rel=0.01)
    # All memories agree on an even stream: 28 incidents in 28 days.
    even = Places.of(incidents(np.zeros(400), np.zeros(400), np.arange(400) + 0.5))
    assert even.rates(START_S + 400 * DAY_S)[:, 0] == pytest.approx(28.0, rel=0.02)


def test_a_stray_early_date_does_not_lengthen_the_past():
    days = np.concatenate([[-7000.0], np.arange(999) * 0.4])
    stray = Places.of(incidents(np.zeros(1000), np.zeros(1000), days))
    assert stray.rates(START_S + 400 * DAY_S)[-1, 0] == pytest.approx(70.0, rel=0.03)


def test_the_weights_follow_how_places_move():
    still = learned_weights(Places.of(town()), END_S)
    moving = learned_weights(Places.of(town(moves=True)), END_S)
    assert still.sum() == pytest.approx(1.0, abs=0.1)
    assert still[3:].sum() > 0.8
    # Places last 28 days, of which the periods that are learned from see a part before they begin.
    assert moving[0] > 0.2 > 10 * still[0]


def test_a_short_past_takes_the_usual_weights():
    assert (learned_weights(Places.of(town(300)), START_S + 40 * DAY_S) == PRIOR_WEIGHTS).all()


def test_the_rank_is_that_of_the_cell():
    past = town(3_000)
    selection = fit_selection(past, FitContext(END_S))
    rank = selection.rank_of(past.x_m, past.y_m)
    assert rank[rank != NOT_LISTED].max() < len(selection.ids)
    cell = selection.tiling.cell_of(past.x_m, past.y_m)
    assert set(rank[rank < len(selection.ids)]) == set(range(len(selection.ids)))
    listed = rank < len(selection.ids)
    assert (selection.ids[rank[listed]] == cell[listed]).all()
    assert not np.isin(cell[~listed], selection.ids).any()
    assert (np.diff(selection.expected) <= 0).all()


def test_the_list_holds_what_its_places_are_worth():
    places = Places.of(town(3_000))
    worth = np.random.default_rng(0).exponential(1.0, len(places.x_m))
    selection = chosen(places, worth, plain_squares(), PRIOR_WEIGHTS)
    square = plain_squares().cell_of(places.x_m, places.y_m)
    for cell, expected in zip(selection.ids[:5], selection.expected, strict=False):
        assert worth[square == cell].sum() == pytest.approx(expected)


def test_places_far_from_anything_are_left_out_of_the_search():
    rng = np.random.default_rng(2)
    busy = rng.uniform(0, 3000, (500, 2))
    quiet = rng.uniform(10_000, 90_000, (300, 2))
    xy = np.concatenate([busy, quiet])
    worth = np.concatenate([np.full(500, 5.0), np.full(300, 0.1)])
    places = Places(xy[:, 0], xy[:, 1], np.zeros(0, np.int64), np.zeros(0, np.int64))
    near = near_the_best(places, worth)
    assert set(range(500)) <= set(near.tolist())
    assert len(near) < 600


def test_nothing_can_be_learned_from_nothing():
    with pytest.raises(TooFewIncidents, match="no incidents"):
        fit_selection(town(100).take(slice(0, 0)), FitContext(END_S))


def test_a_single_incident_is_enough():
    selection = fit_selection(incidents([0.0], [0.0], [5.0]), FitContext(END_S))
    assert len(selection.ids) == 1
    x_m, y_m = np.array([X0_M, X0_M + 5000.0]), np.array([Y0_M, Y0_M])
    assert selection.rank_of(x_m, y_m).tolist() == [0, NOT_LISTED]


def test_a_short_list_catches_nothing_outside_itself():
    past = town(400).before(START_S + 5 * DAY_S)
    selection = fit_selection(past, FitContext(START_S + 5 * DAY_S))
    assert len(selection.ids) < n_cells()[0]
    far = incidents(np.full(50, 90_000.0), np.zeros(50), np.full(50, 6.0))
    found = selection_hits(selection, far, START_S + 5 * DAY_S)
    assert not found.in_list.any()
    assert found.best[0].tolist() == [50, 50, 50]
    assert found.area_km2 == pytest.approx(len(selection.ids) * CELL_KM2)
