"""Flows on cells: exact mass, the order of the coordinates, and what each order promises."""

import numpy as np
import pytest

from models.base import FitContext
from models.densities.drift import CountTables
from models.fields.priors import HourSettings
from models.flows.cell_flow import HourFirstFlow, HourLastFlow
from models.units import N_WINDOWS
from tests.support.simulated.planted_hours import CUTOFF_S, drawn, planted, uneven_backbone
from tests.support.simulated.square_grid import square_grid

NX, NY = 16, 12
CELLS = square_grid(NX, NY)
BACKBONE = uneven_backbone(NX * NY)
FLOWS = {
    "hour last": HourLastFlow,
    "x first": lambda **kw: HourFirstFlow("x", **kw),
    "y first": lambda **kw: HourFirstFlow("y", **kw),
}


@pytest.fixture(scope="module")
def counts():
    known = drawn(CELLS, planted(CELLS, BACKBONE, 1.0), 20_000, 3)
    tables = CountTables(known, CELLS, CUTOFF_S)
    return [tables.by_window(days).toarray() for days in (365.0, 2000.0)]


def fitted(kind, counts, **settings):
    return FLOWS[kind](**settings).fit(counts, BACKBONE, CELLS, FitContext(CUTOFF_S))


@pytest.mark.parametrize("kind", FLOWS)
def test_every_window_is_a_density(counts, kind):
    flow = fitted(kind, counts)
    assert flow.probability_.shape == (N_WINDOWS, NX * NY)
    np.testing.assert_allclose(flow.probability_.sum(axis=1), 1.0, atol=1e-12)
    assert flow.probability_.min() > 0


@pytest.mark.parametrize("kind", FLOWS)
def test_without_incidents_it_is_the_base(kind):
    flow = fitted(kind, [np.zeros((N_WINDOWS, NX * NY))])
    np.testing.assert_allclose(flow.probability_, np.tile(BACKBONE, (N_WINDOWS, 1)), rtol=1e-4)


@pytest.mark.parametrize("kind", FLOWS)
def test_strength_shrinks_towards_the_base(counts, kind):
    def distance(strength):
        flow = fitted(kind, counts, strength=strength)
        return np.abs(np.log(flow.probability_ / BACKBONE)).mean()

    assert distance(0.0) < 1e-5 < distance(0.3) < 0.5 * distance(1.0)


@pytest.mark.parametrize("kind", FLOWS)
def test_a_fit_has_no_seed(counts, kind):
    one, two = (
        FLOWS[kind]().fit(counts, BACKBONE, CELLS, FitContext(CUTOFF_S, seed=s)) for s in (0, 1)
    )
    np.testing.assert_array_equal(one.probability_, two.probability_)


def test_with_the_hour_last_the_places_keep_the_density_of_the_base(counts):
    """What the conditioner learns moves mass between hours only."""
    flow = fitted("hour last", counts[:1])
    np.testing.assert_allclose(flow.hour_share_ @ flow.probability_, BACKBONE, rtol=1e-9)
    np.testing.assert_allclose(flow.hour_share_, counts[0].sum(axis=1) / counts[0].sum(), atol=2e-4)


@pytest.mark.parametrize("first", ["x", "y"])
def test_the_first_coordinate_does_not_see_the_second(counts, first):
    """Masks: incidents moved within their columns change the second coordinate's splines alone."""
    line = CELLS.ix if first == "x" else CELLS.iy
    moved = []
    for table in counts:
        other = np.zeros_like(table)
        for column in np.unique(line):
            inside = np.flatnonzero(line == column)
            other[:, inside] = table[:, inside[::-1]]
        moved.append(other)
    one, two = fitted(f"{first} first", counts), fitted(f"{first} first", moved)
    # Sums of a column in another order round otherwise.
    np.testing.assert_allclose(one.weights_[0], two.weights_[0], atol=1e-5)
    assert np.abs(one.weights_[1] - two.weights_[1]).max() > 0.01


def test_a_window_with_its_hours_shuffled_within_a_cell_changes_that_cell_most(counts):
    """With the hour last, the splines of a place come from the places around it."""
    near = HourSettings(spread={250.0: 0.5})
    changed = counts[0].copy()
    busy = int(counts[0].sum(axis=0).argmax())
    changed[:, busy] = np.roll(changed[:, busy], 12)
    one = fitted("hour last", counts[:1], hours=near)
    two = fitted("hour last", [changed], hours=near)
    apart = np.abs(one.weights_ - two.weights_).max(axis=0)
    assert apart.argmax() == busy
    assert np.delete(apart, busy).max() < 0.05 * apart[busy]


def incidents(n, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, NX * NY, n), rng.random((n, 2)), rng.uniform(0, N_WINDOWS, n)


def test_the_inverse_undoes_the_flow(counts):
    flow = fitted("hour last", counts)
    rows, within, hour = incidents(5_000, 1)
    again, inside, when = flow.inverse(flow.forward(rows, within, hour))
    near_edge = (np.abs(within - 0.5) > 0.5 - 1e-6).any(axis=1) | (
        np.abs(hour % 1 - 0.5) > 0.499999
    )
    np.testing.assert_array_equal(again[~near_edge], rows[~near_edge])
    np.testing.assert_allclose(inside[~near_edge], within[~near_edge], atol=1e-6)
    np.testing.assert_allclose(when[~near_edge], hour[~near_edge], atol=1e-6)
    ranks = np.random.default_rng(2).random((5_000, 3))
    np.testing.assert_allclose(flow.forward(*flow.inverse(ranks)), ranks, atol=1e-9)


def test_its_jacobian_is_triangular_and_its_determinant_the_density(counts):
    """By finite differences within a cell and an hour: x, y, hour see only what comes before them."""
    flow = fitted("hour last", counts)
    rows, within, hour = incidents(300, 3)
    within, hour, step = 0.1 + 0.8 * within, np.floor(hour) + 0.3, 1e-5
    base = flow.forward(rows, within, hour)
    columns = [flow.forward(rows, within + step * np.eye(2)[d], hour) for d in (0, 1)]
    columns.append(flow.forward(rows, within, hour + step))
    jacobian = np.stack([(moved - base) / step for moved in columns], axis=2)
    for row, column in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_array_equal(jacobian[:, row, column], 0.0)
    window = hour.astype(int)
    density = flow.hour_share_[window] * flow.probability_[window, rows]
    np.testing.assert_allclose(np.linalg.det(jacobian), density, rtol=1e-4)


def test_drawn_through_the_inverse_hours_lean_as_the_flow_does(counts):
    flow = fitted("hour last", counts)
    rows, _, hour = flow.inverse(np.random.default_rng(4).random((200_000, 3)))
    expected = 200_000 * flow.hour_share_
    assert abs(np.bincount(hour.astype(int), minlength=N_WINDOWS) / expected - 1).max() < 0.2
    night, east = np.isin(hour.astype(int) % 24, (22, 23, 0, 1)), CELLS.ix[rows] >= NX // 2
    truth = flow.probability_[np.isin(np.arange(N_WINDOWS) % 24, (22, 23, 0, 1))]
    assert east[night].mean() == pytest.approx(
        truth[:, CELLS.ix >= NX // 2].sum(1).mean(), abs=0.02
    )
