"""The model of cost finds what jobs cost, and says how far measured ones are from it."""

import numpy as np
import pytest

from benchmarks.service.country_cost import Cost, Country, fit_cost, zipf_sizes

N = np.array([2e3, 1e4, 1e5, 5e5, 2e6, 3e4])
CELLS = np.array([1e3, 3e3, 6e3, 6e3, 6e3, 1e3])


def test_known_costs_are_found():
    found = fit_cost(N, CELLS, 3.0 + 2e-5 * N + 4e-3 * CELLS)
    assert found.of(7e5, 2e3) == pytest.approx(3.0 + 14.0 + 8.0, rel=1e-4)
    assert found.error == pytest.approx(0.0, abs=1e-4)


def test_no_part_is_negative_and_the_deviation_is_said():
    noise = np.array([1.2, 0.8, 1.2, 0.8, 1.2, 0.8])
    found = fit_cost(N, CELLS, (5.0 + 1e-5 * N) * noise)
    assert min(found.base, found.incident, found.cell) >= 0.0
    assert 0.1 < found.error < 0.3


def test_twice_the_regions_take_twice_the_work():
    cost = Cost(10.0, 1e-4, 1e-3, 0.0)
    country = Country(cost, cost, Cost(5e8, 400.0, 2e4, 0.0), 300.0, Cost(0.0, 0.0, 500.0, 0.0))
    hours, more = (country.row(n, 100_000).split(" | ") for n in (300, 600))
    assert float(more[2].split()[0]) == pytest.approx(2 * float(hours[2].split()[0]), rel=0.02)
    assert float(more[5].split()[0]) == pytest.approx(2 * float(hours[5].split()[0]), rel=0.02)


def test_sizes_fall_from_the_largest_to_the_smallest():
    sizes = zipf_sizes(300, 2_000_000, 2_000)
    assert (sizes[0], sizes[-1]) == (2_000_000, 2_000)
    assert (np.diff(sizes) <= 0).all()
