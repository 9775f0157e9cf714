"""A kind that stops as another starts is found with its week; seasons and chance are not."""

import numpy as np
import pytest

from app.data_quality.checks.kinds import renamings, spellings


def steady(rates, weeks, seed):
    return np.random.default_rng(seed).poisson(np.array(rates)[:, None], (len(rates), weeks))


@pytest.mark.parametrize("rate", [3, 25, 400])
@pytest.mark.parametrize("stragglers", [0, 1])
def test_a_renamed_kind_is_found(rate, stragglers):
    weekly = np.concatenate([steady([40, 9, 2], 52, 1), steady([rate, rate], 52, 2)])
    weekly[3, 35:] = 0
    weekly[3, 45] = stragglers * rate // 25
    weekly[4, :35] = 0
    (found,) = renamings(weekly)
    assert (found.ended, found.began) == ([3], [4])
    assert abs(found.week - 35) <= 1


def test_one_that_becomes_two_is_one_change():
    weekly = np.concatenate([steady([40], 52, 1), steady([30, 20, 10], 52, 2)])
    weekly[1, 20:] = 0
    weekly[2:, :20] = 0
    (found,) = renamings(weekly)
    assert (found.ended, found.began) == ([1], [2, 3])


def test_chance_seasons_and_kinds_that_only_start_are_no_renaming():
    for seed in range(60):
        season = 1 + 0.8 * np.sin(2 * np.pi * np.arange(104) / 52)
        rates = np.random.default_rng(seed).uniform(0.05, 20, 10)
        assert renamings(np.random.default_rng(seed).poisson(rates[:, None] * season)) == []
    weekly = steady([40, 30], 52, 3)
    weekly[1, :30] = 0
    assert renamings(weekly) == []
    weekly = steady([40, 30, 30], 104, 3)
    weekly[1, 20:] = 0
    weekly[2, :80] = 0
    assert renamings(weekly) == []
    assert renamings(weekly[:, :1]) == []
    assert renamings(weekly[:0]) == []


def test_spellings():
    assert spellings(["Theft", "THEFT", "theft ", "Thefts"]) == [["THEFT", "Theft", "theft "]]
    assert spellings(["Robo\u00a0simple", "ROBO  SIMPLE", "a"]) == [
        ["ROBO  SIMPLE", "Robo\u00a0simple"]
    ]
