"""Default geocodes have the city's mix of hours and kinds; real places have their own and stay."""

import numpy as np
import pytest

from app.data_quality.checks.default_geocodes import find_full_places

PLACE = (-55, 12)


def city(n, seed=0):
    """Places as uneven as a real city's (the fullest holds .7 % of all), hours and kinds too."""
    rng = np.random.default_rng(seed)
    place = (8_000 * rng.random(n) ** 1.8).astype(int)
    hour = (24 * rng.beta(3, 1.5, n)).astype(int)
    minute = 60 * hour + rng.integers(0, 60, n)
    kind = rng.choice(6, n, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    return place % 97 * 130.0, place // 97 * 170.0, minute, kind


def with_pile(n_city, n_pile, seed=0, **own):
    """A city with `n_pile` incidents at one place; `own` overrides their minutes or kinds."""
    parts = zip(city(n_city, seed), city(n_pile, 99), strict=True)
    x_m, y_m, minute, kind = (np.concatenate(columns) for columns in parts)
    x_m[n_city:], y_m[n_city:] = -55.2, 12.3
    minute[n_city:] = own.get("minute", minute[n_city:])
    kind[n_city:] = own.get("kind", kind[n_city:])
    return x_m, y_m, minute, kind


def test_an_uneven_city_has_none():
    found, on_default = find_full_places(*city(40_000))
    assert found == []
    assert not on_default.any()


@pytest.mark.parametrize("n_city", [800, 2_000, 40_000])
@pytest.mark.parametrize("share", [0.08, 0.2])
def test_a_pile_with_the_citys_mix_is_one_in_towns_and_cities(n_city, share):
    n = int(share * n_city)
    found, on_default = find_full_places(*with_pile(n_city, n))
    (one,) = [p for p in found if p.is_default]
    assert (one.x_m, one.y_m, one.n_incidents, one.reason) == (*PLACE, n, "city_mix")
    np.testing.assert_array_equal(np.flatnonzero(on_default), np.arange(n_city, n_city + n))


@pytest.mark.parametrize("share", [0.08, 0.2])
def test_a_mall_is_a_real_place_by_its_hours_or_its_kinds(share):
    n = int(share * 2_000)
    rng = np.random.default_rng(1)
    opening = rng.integers(10 * 60, 20 * 60, n)
    for own in ({"kind": 5}, {"minute": opening, "kind": 0}, {"minute": opening}):
        found, on_default = find_full_places(*with_pile(2_000, n, **own))
        assert [(p.n_incidents, p.is_default, p.reason) for p in found] == [(n, False, "own_mix")]
        assert not on_default.any()


def test_a_pile_of_unknown_times_is_a_default():
    found, _ = find_full_places(*with_pile(2_000, 150, minute=0, kind=3))
    assert [(p.n_incidents, p.is_default, p.reason) for p in found] == [(150, True, "heaped_times")]


def test_a_few_incidents_prove_nothing():
    for n_city, n_pile in ((60, 12), (200, 20)):
        found, on_default = find_full_places(*with_pile(n_city, n_pile))
        assert not on_default.any()
        assert {p.reason for p in found} <= {"unclear", "own_mix"}
    for n in (0, 1, 60):
        found, on_default = find_full_places(
            np.full(n, 3.0), np.full(n, 4.0), np.zeros(n, int), np.zeros(n, int)
        )
        assert not any(p.is_default for p in found)
        assert on_default.shape == (n,)


def test_one_point_per_precinct_is_no_default():
    _, _, minute, kind = city(4_000)
    precinct = np.random.default_rng(2).integers(0, 12, 4_000)
    found, on_default = find_full_places(1e3 * precinct, 2e3 * precinct, minute, kind)
    assert found == []
    assert not on_default.any()


def test_the_policy_decides_on_a_place():
    data = with_pile(2_000, 200)
    found, on_default = find_full_places(*data, keep=[(-52.0, 12.0)])
    assert [(p.is_default, p.reason) for p in found] == [(False, "policy")]
    assert not on_default.any()
    found, on_default = find_full_places(*data, drop=[(0.0, 0.0)])
    assert {(p.x_m, p.is_default, p.reason) for p in found} == {
        (-55, True, "city_mix"),
        (0, True, "policy"),
    }
    assert on_default.sum() == sum(p.n_incidents for p in found)
