"""Default geocodes are found, busy places are not."""

import numpy as np
import pytest

from app.data_quality.checks.default_geocodes import find_default_geocodes


def city(n, seed=0):
    """Places as uneven as a real city's: the fullest holds .7 % of all, twice the next."""
    place = (8_000 * np.random.default_rng(seed).random(n) ** 1.8).astype(int)
    return place % 97 * 130.0, place // 97 * 170.0


def test_an_uneven_city_has_none():
    x_m, y_m = city(40_000)
    piles, piled = find_default_geocodes(x_m, y_m)
    assert piles == []
    assert not piled.any()


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_planted_ones_are_found_with_exactly_their_incidents(share):
    x_m, y_m = city(40_000)
    n = int(share * 40_000)
    x = np.concatenate([x_m, np.full(n, -55.2), np.full(n // 2, 9_999.0)])
    y = np.concatenate([y_m, np.full(n, 12.3), np.full(n // 2, 9_999.0)])
    piles, piled = find_default_geocodes(x, y)
    assert [(p.x_m, p.y_m, p.n_incidents) for p in piles] == [
        (-55, 12, n),
        (9_999, 9_999, n // 2),
    ]
    np.testing.assert_array_equal(np.flatnonzero(piled), np.arange(40_000, len(x)))


@pytest.mark.parametrize("n", [0, 1, 60])
def test_small_data_is_left_alone(n):
    piles, piled = find_default_geocodes(np.full(n, 3.0), np.full(n, 4.0))
    assert piles == []
    assert piled.shape == (n,)
