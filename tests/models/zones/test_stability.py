"""Former zones: the interval of a gain, its false alarms, and which zone stands for which."""

import numpy as np
import pytest

from models.zones.stability import Uncertainty, gain_of, paired

ONE, OTHER = np.array([0, 1]), np.array([1, 2])


def test_a_zone_gains_nothing_over_itself():
    gain = gain_of(ONE, ONE, Uncertainty(np.array([0.2, 0.3]), None, 365))
    assert gain == (1.0, 1.0, 1.0)
    assert not gain.is_beyond_chance


def test_the_interval_narrows_with_what_was_counted_and_holds_the_ratio():
    mean = np.array([0.1, 0.2, 0.14])
    widths = []
    for n_counted in (30, 365, 10_000):
        gain = gain_of(OTHER, ONE, Uncertainty(mean, None, n_counted))
        assert gain.ratio == pytest.approx(0.34 / 0.30)
        assert gain.lo < gain.ratio < gain.hi
        widths.append(gain.hi - gain.lo)
    assert widths == sorted(widths, reverse=True)
    assert not gain_of(OTHER, ONE, Uncertainty(mean, None, 365)).is_beyond_chance
    assert gain_of(OTHER, ONE, Uncertainty(mean, None, 100_000)).is_beyond_chance


def test_a_band_decides_where_the_model_knows_one():
    mean = np.array([0.1, 0.2, 0.14])
    unsure = Uncertainty(mean, np.full(3, 0.3**2), 1e9)
    sure = Uncertainty(mean, np.full(3, 0.01**2), 1e-9)
    assert not gain_of(OTHER, ONE, unsure).is_beyond_chance
    assert gain_of(OTHER, ONE, sure).is_beyond_chance


def test_equal_places_seldom_move():
    """Counts of a year of two equal places differ by chance: not more than 5 % of them move."""
    random = np.random.default_rng(7)
    moved = 0
    for counts in random.poisson(40, (400, 2)) / 365:
        moved += gain_of(
            np.array([0]), np.array([1]), Uncertainty(counts, None, 365)
        ).is_beyond_chance
    assert moved <= 0.08 * 400


def test_nothing_expected_anywhere_moves_nothing():
    assert not gain_of(ONE, OTHER, Uncertainty(np.zeros(3), None, 365)).is_beyond_chance
    assert gain_of(
        ONE, np.array([2]), Uncertainty(np.array([5.0, 5, 0]), None, 365)
    ).is_beyond_chance


def test_zones_are_paired_by_what_they_share_then_by_distance():
    place_m = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0], [10, 0], [30, 0]])
    mean = np.ones(6)
    old = [np.array([4]), np.array([0, 1])]
    new = [np.array([1, 2]), np.array([5]), np.array([3])]
    assert paired(old, new, mean, place_m) == {0: 2, 1: 0}
    assert paired([], new, mean, place_m) == {}
