"""Shares of cells on streets: mass is conserved, few incidents are pooled, the bandwidth is found."""

import numpy as np
import pytest

from app.geo.grid import build_grid
from models.streets.network import bits_of, lixels_of
from models.streets.ranking import caught_parts, n_within, ranked_segments
from models.streets.scoring import ALL_HOURS, BY_HOUR, CELLS, COUNTS, PERCENTS, StreetTest
from models.streets.shares import Ground, Snapped, choose_bandwidth, length_shares, street_shares
from models.times.intervals import HourShares
from models.units import DAY_S
from tests.models.streets.test_network import network_of
from tests.support.simulated.made_forecasts import square_area


@pytest.fixture(scope="module")
def ground():
    rows = [[(x, y) for x in range(0, 1900, 100)] for y in range(20, 900, 100)]
    columns = [[(x, y) for y in range(20, 900, 100)] for x in range(0, 1900, 100)]
    network = network_of(*rows, *columns)
    lixels, grid = lixels_of(network), build_grid(square_area(), 500.0)
    return Ground.of(network, lixels, bits_of(network, lixels, grid), len(grid))


def snapped(ground, n, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    weight = rng.gamma(spread, size=len(ground.lixel)) * ground.length_m
    rows = rng.choice(len(ground.lixel), n, p=weight / weight.sum())
    time_s = np.sort(rng.uniform(0, 300 * DAY_S, n)).astype(np.int64)
    return Snapped(ground.lixel[rows], ground.cell[rows], time_s)


def test_every_cell_with_streets_gives_all_it_has_and_the_others_nothing(ground):
    with_streets = np.isin(np.arange(ground.n_cells), ground.cell)
    assert 0 < with_streets.sum() < ground.n_cells
    for minimum in (0, 5, 10_000):
        shares = street_shares(ground, snapped(ground, 500), 100.0, minimum)
        np.testing.assert_allclose(shares.sum(axis=0), with_streets, atol=1e-12)
        assert shares.data.min() >= 0
    assert street_shares(ground, snapped(ground, 0), 100.0).shape == (len(ground.network), 11)


def test_with_too_few_incidents_only_length_counts(ground):
    shares = street_shares(ground, snapped(ground, 400), 50.0, 10_000).toarray()
    by_length = np.zeros_like(shares)
    np.add.at(by_length, (ground.lixels.segment[ground.lixel], ground.cell), ground.length_m)
    by_length /= np.maximum(by_length.sum(axis=0), 1e-9)
    np.testing.assert_allclose(shares, by_length, atol=1e-9)


def test_segments_that_differ_from_length_have_the_minimum(ground):
    past, minimum = snapped(ground, 3_000, spread=0.3), 30
    exact = street_shares(ground, past, 25.0).toarray()
    pooled = street_shares(ground, past, 25.0, minimum).toarray()
    changed = abs(exact - pooled) > 1e-9
    assert changed.any()
    in_cell = np.bincount(past.cell, minlength=ground.n_cells)
    # What stands for itself has the minimum, up to what smoothing moves over a cell's sides.
    alone = ~changed & (exact > 0)
    assert (exact * in_cell)[alone].min() > 0.7 * minimum


def test_an_incident_in_the_next_cell_takes_its_cells_mass_over_the_border(ground):
    """A street on the east side of a cell's border takes the mass that its incidents have on the west."""
    border = int(np.flatnonzero(ground.cell == 1)[0])
    lixel = int(ground.lixel[border])
    past = Snapped(np.full(50, lixel), np.zeros(50, np.int64), np.arange(50))
    shares = street_shares(ground, past, 25.0)
    assert shares[[ground.lixels.segment[lixel]], [0]][0] > 0.2


def test_the_bandwidth_fits_how_incidents_repeat(ground):
    sharp = snapped(ground, 4_000, spread=0.05)
    rng = np.random.default_rng(1)
    even = snapped(ground, 300, spread=1e4)
    assert choose_bandwidth(ground, sharp, 300 * DAY_S) == 25.0
    assert choose_bandwidth(ground, even, 300 * DAY_S) >= 200.0
    late = Snapped(
        np.append(sharp.lixel, rng.integers(0, 9, 900)),
        np.append(sharp.cell, np.zeros(900, np.int64)),
        np.append(sharp.time_s, np.full(900, 301 * DAY_S)),
    )
    assert choose_bandwidth(ground, late, 300 * DAY_S) == 25.0, "the future cannot be seen"


def test_the_best_streets_of_a_length_agree_with_brute_force():
    rng = np.random.default_rng(2)
    expected, length = rng.gamma(1.0, size=40), rng.uniform(10, 200, 40)
    segment = rng.integers(-1, 40, 500)
    order = ranked_segments(expected, length)
    n = n_within(length[order], 30)
    percents = (100 * length[order][:n].sum() / length.sum(), 30, 100)
    exact, within, whole = caught_parts(expected, length, segment, percents).T
    np.testing.assert_allclose(exact, np.isin(segment, order[:n]), atol=1e-9)
    # Metre by metre: the list ends within a segment, of which so many metres are in it.
    left_m = 0.3 * length.sum()
    for row in order:
        assert within[segment == row] == pytest.approx(np.clip(left_m / length[row], 0, 1))
        left_m -= length[row]
    np.testing.assert_array_equal(whole, segment >= 0)


def test_lists_are_equally_long_whatever_the_ranking():
    """As many metres: the parts of segments in a list, times their lengths, sum to the same."""
    rng = np.random.default_rng(3)
    length = rng.uniform(0.1, 300, 200)
    for expected in (
        rng.gamma(1.0, size=200),
        rng.poisson(0.5, 200).astype(float),
        length.copy(),
        np.zeros(200),
    ):
        parts = caught_parts(expected, length, np.arange(200), PERCENTS)
        np.testing.assert_allclose(length @ parts, np.array(PERCENTS) / 100 * length.sum())


def test_a_score_knows_only_what_came_before(ground):
    past = snapped(ground, 3_000, spread=0.2)
    test = snapped(ground, 400, spread=0.2)
    window = np.arange(400) % 168
    tables = np.tile(np.bincount(past.cell, minlength=ground.n_cells) / len(past), (168, 1))
    hours = HourShares(np.arange(400), window, np.ones(400))
    known = past.between(0, 290 * DAY_S)
    made = StreetTest.of(ground, length_shares(ground), known, 290 * DAY_S, test.lixel)
    found = made.caught(tables, np.ones(168), hours)
    assert made.counts.sum() == len(known)
    hits = {name: parts.sum(axis=0) for name, parts in found.items()}
    for name in (BY_HOUR, ALL_HOURS, COUNTS):
        assert list(hits[name]) == sorted(hits[name])
        assert hits[name][-1] <= 400
    # Equal tables for all hours are one list.
    np.testing.assert_allclose(found[BY_HOUR], found[ALL_HOURS])
    assert hits[ALL_HOURS][1] > hits[CELLS][1], "the kernel knows which street it is"


def test_an_incident_known_as_an_interval_counts_by_its_hours(ground):
    """Two hours with opposite cells: its part is the mean of what their lists catch, by its shares."""
    past, test = snapped(ground, 500), snapped(ground, 60, seed=4)
    tables = np.zeros((168, ground.n_cells))
    tables[5, ground.cell.min()] = tables[9, ground.cell.max()] = 1.0
    made = StreetTest.of(ground, length_shares(ground), past, 300 * DAY_S, test.lixel)

    def caught(window, weight, n):
        hours = HourShares(np.repeat(np.arange(60), n), np.tile(window, 60), np.tile(weight, 60))
        return made.caught(tables, np.ones(168), hours)[BY_HOUR]

    both = caught([5, 9], [0.25, 0.75], 2)
    one, other = caught([5], [1.0], 1), caught([9], [1.0], 1)
    np.testing.assert_allclose(both, 0.25 * one + 0.75 * other)
    assert 0 < one.sum() != other.sum() > 0


def test_length_alone_is_what_the_kernel_says_without_incidents(ground):
    plain = street_shares(ground, snapped(ground, 0), 100.0)
    inside = np.isclose(np.bincount(ground.lixel, ground.length_m), ground.lixels.length_m)
    assert inside.all()
    assert abs(plain - length_shares(ground)).max() < 1e-9
