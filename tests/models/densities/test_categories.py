"""A category borrows from the city: it beats its own density alone, and the city's alone."""

from dataclasses import replace

import numpy as np
import pytest

from models.base import FitContext
from models.catalog import create_model
from models.densities.categories import (
    MAX_CATEGORIES,
    MIN_INCIDENTS,
    Categories,
    Moment,
    _fitted_codes,
)
from models.evaluation.metrics import score_incidents
from models.incidents import Incidents
from models.units import DAY_S

START_S = 1_546_300_800
CUTOFF_S = START_S + 600 * DAY_S
COMMON, RARE = 0, 1
WEST_EDGE_M = 604_500.0


def _relabelled(incidents, seed):
    """Two categories that share the city's places; the rare one, 1 in 50, leans to the east."""
    rng = np.random.default_rng(seed)
    chance = 0.02 * (1.0 + np.tanh((incidents.x_m - WEST_EDGE_M) / 2_000.0))
    category = np.where(rng.random(len(incidents)) < chance, RARE, COMMON).astype(np.int16)
    return replace(incidents, category=category)


@pytest.fixture(scope="module")
def history(city, as_incidents):
    return _relabelled(as_incidents(city.draw(n_days=600, per_day=30, seed=21)), 4)


@pytest.fixture(scope="module")
def fresh(city, as_incidents, grid):
    test = _relabelled(as_incidents(city.draw(n_days=200, per_day=300, seed=22)), 5)
    rows = grid.locate(test.x_m, test.y_m)
    return test.take(rows >= 0), rows[rows >= 0]


@pytest.fixture(scope="module")
def stack(history, grid):
    return create_model("stack").fit(history, grid, FitContext(CUTOFF_S))


def mean_score(model, rows, test, mine, *, by_category):
    category = test.category[mine] if by_category else None
    scored = score_incidents(model, rows[mine], test.window[mine], category)
    return scored.log_density.mean()


def test_a_rare_category_beats_its_own_and_the_citys_density(stack, history, grid, fresh):
    test, rows = fresh
    mine = test.category == RARE
    assert 200 < (history.category == RARE).sum() < 600
    own = create_model("multi-kde").fit(
        history.take(history.category == RARE), grid, FitContext(CUTOFF_S)
    )
    borrowed = mean_score(stack, rows, test, mine, by_category=True)
    assert borrowed > mean_score(stack, rows, test, mine, by_category=False) + 0.02
    assert borrowed > mean_score(own, rows, test, mine, by_category=False) + 0.02


def test_a_common_category_loses_nothing_by_being_told_apart(stack, fresh):
    test, rows = fresh
    mine = test.category == COMMON
    apart = mean_score(stack, rows, test, mine, by_category=True)
    # Next to nothing: a seventh of its mixture is the same at all hours, because its own hours might
    # differ from the city's. In this city they do not.
    assert apart > mean_score(stack, rows, test, mine, by_category=False) - 0.01


def test_a_categorys_density_is_a_distribution_at_every_hour(stack):
    assert set(stack.category_density_) == {COMMON, RARE}
    for own in stack.category_density_.values():
        table = own.given(stack.probability_)
        assert np.all(table > 0)
        np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-9)
        window, rows = np.array([0, 17, 167]), np.array([3, 1, 2])
        np.testing.assert_allclose(
            own.at(stack.probability_, window, rows), table[window, rows], rtol=1e-12
        )


def test_weights_of_the_components_are_shares(stack):
    weights = stack.report()["weights"]
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-3)
    assert all(w >= 0 for w in weights.values())
    assert stack.report()["validation_periods"] == 2


def of_sizes(sizes):
    """Incidents of so many of each category, in one place."""
    category = np.repeat(list(sizes), list(sizes.values())).astype(np.int32)
    zeros = np.zeros(len(category))
    return Incidents(
        zeros.astype(np.float32), zeros.astype(np.float32), zeros.astype(np.int64),
        zeros.astype(np.int16), category,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "fitted"),
    [
        ({}, []),
        ({4: 500}, []),
        ({4: 500, 2: 1}, [4]),
        ({4: MIN_INCIDENTS, 2: MIN_INCIDENTS - 1, 0: 90}, [0, 4]),
        (
            {k: MIN_INCIDENTS + k for k in range(MAX_CATEGORIES + 5)},
            list(range(5, MAX_CATEGORIES + 5)),
        ),
    ],
)
def test_the_most_frequent_categories_of_enough_incidents_are_fitted(sizes, fitted):
    assert _fitted_codes(of_sizes(sizes)).tolist() == fitted


def test_one_category_is_the_city_itself(history, grid):
    table = np.full((168, len(grid)), 1 / len(grid))
    now, past = (Moment(at, table) for at in (CUTOFF_S, CUTOFF_S - 28 * DAY_S))
    alone = history.take(history.category == COMMON)
    model = Categories().fit(alone, grid, now, past, FitContext(CUTOFF_S))
    assert (model.density_, model.weights_) == ({}, {})


def test_a_citys_density_is_the_mean_of_its_hours():
    windows = np.zeros((168, 2), np.float32)
    windows[:42, 0] = windows[42:, 1] = 1.0
    np.testing.assert_allclose(Moment(0, windows).city, [0.25, 0.75], rtol=1e-12)
