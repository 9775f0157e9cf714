"""Shares of cells on streets: mass is conserved, few incidents are pooled, the bandwidth is found."""

import numpy as np
import pytest

from app.geo.grid import build_grid
from models.streets.network import bits_of, lixels_of
from models.streets.ranking import hits_at, n_within, ranked_segments
from models.streets.scoring import ALL_HOURS, BY_HOUR, COUNTS, EVEN, score_streets
from models.streets.shares import Ground, Snapped, choose_bandwidth, street_shares
from models.units import DAY_S
from tests.models.streets.test_network import network_of
from tests.support.made_forecasts import square_area


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


def test_hits_at_equal_length_agree_with_brute_force():
    rng = np.random.default_rng(2)
    expected, length = rng.gamma(1.0, size=40), rng.uniform(10, 200, 40)
    happened = rng.poisson(2.0, 40).astype(float)
    order = ranked_segments(expected, length)
    n = n_within(length[order], 30)
    covered = length[order][:n].sum()
    percent = 100 * covered / length.sum()
    assert hits_at(expected, length, happened, percent) == pytest.approx(happened[order[:n]].sum())
    flat = hits_at(np.zeros(40), length, happened, 25)
    assert flat == pytest.approx(happened.sum() / 4)
    assert hits_at(expected, length, happened, 100) == pytest.approx(happened.sum())


def test_a_score_knows_only_what_came_before(ground):
    past = snapped(ground, 3_000, spread=0.2)
    test = snapped(ground, 400, spread=0.2)
    window = np.arange(400) % 168
    tables = np.tile(np.bincount(past.cell, minlength=ground.n_cells) / len(past), (168, 1))
    origin_s = 290 * DAY_S
    found = score_streets(ground, past, origin_s, test, window, tables)
    cut = score_streets(ground, past.between(0, origin_s), origin_s, test, window, tables)
    assert found == cut
    assert found.n == 400
    for name in (BY_HOUR, ALL_HOURS, COUNTS):
        assert list(found.hits[name]) == sorted(found.hits[name])
        assert found.hits[name][-1] <= 400
    # Equal tables for all hours are one list.
    assert found.hits[BY_HOUR] == pytest.approx(found.hits[ALL_HOURS])
    assert found.hits[ALL_HOURS][2] > found.hits[EVEN][2], "the kernel knows which street it is"
