"""The best zones: equal to those of all subsets on small grids, and what holds on any grid."""

from itertools import combinations

import numpy as np
import pytest

from models.zones.problem import ZoneProblem, best_free, compactness_of
from models.zones.search import best_zones
from tests.support.simulated.square_grid import square_grid

KM2 = 0.0625


def problem_of(value, n, n_zones, **more):
    """A problem on squares of 250 m, with a budget of n of them."""
    ny, nx = value.shape
    grid = square_grid(nx, ny)
    rows = np.pad(np.arange(nx * ny).reshape(ny, nx), 1, constant_values=-1)
    sides = (rows[1:-1, :-2], rows[1:-1, 2:], rows[:-2, 1:-1], rows[2:, 1:-1])
    known = {"area_km2": grid.area_km2, "place_m": np.column_stack(grid.centres_m()), **more}
    neighbours = np.stack([side.ravel() for side in sides], axis=1)
    return ZoneProblem(
        value.ravel(), neighbours=neighbours, max_km2=n * KM2, n_zones=n_zones, **known
    )


def zones_in(problem, cells):
    """The connected parts of some cells, by a search of their own."""
    left, found = set(cells), []
    while left:
        zone, todo = set(), [left.pop()]
        while todo:
            cell = todo.pop()
            zone.add(cell)
            around = set(problem.neighbours[cell].tolist()) & left
            left -= around
            todo += around
        found.append(sorted(zone))
    return found


def are_allowed(problem, zones):
    """Whether zones keep every rule, by its definition."""
    cells = [cell for zone in zones for cell in zone]
    if len(zones) > problem.n_zones or len(set(cells)) < len(cells):
        return False
    if problem.area_km2[cells].sum() > problem.max_km2 * (1 + 1e-9):
        return False
    for zone in zones:
        perimeter = int((~np.isin(problem.neighbours[zone], zone)).sum())
        if compactness_of(len(zone), perimeter, 4) < problem.min_compactness - 1e-9:
            return False
    for one, other in combinations(zones, 2):
        apart = problem.place_m[one][:, None] - problem.place_m[other][None]
        if np.hypot(apart[..., 0], apart[..., 1]).min() < problem.min_separation_m - 0.01:
            return False
    return sorted(map(sorted, zones)) == sorted(zones_in(problem, cells))


def best_of_all(problem):
    """The greatest value of any allowed zones: every subset of the cells is looked at."""
    n = len(problem.value)
    member = np.arange(1 << n)[:, None] >> np.arange(n) & 1
    value, area = member @ problem.value, member @ problem.area_km2
    within = np.flatnonzero(area <= problem.max_km2 * (1 + 1e-9))
    for subset in within[np.argsort(-value[within], kind="stable")].tolist():
        if are_allowed(problem, zones_in(problem, np.flatnonzero(member[subset]).tolist())):
            return value[subset]
    raise AssertionError("not even no zone is allowed")


def worth(problem, zones):
    return sum(problem.value[zone].sum() for zone in zones)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_no_subset_of_a_small_grid_is_worth_more(seed):
    rng = np.random.default_rng(seed)
    shape = ((4, 4), (3, 5), (2, 7))[seed % 3]
    area = np.full(shape[0] * shape[1], KM2)
    if seed % 4 == 3:
        area[: shape[1]] *= rng.uniform(0.1, 1.0, shape[1])
    problem = problem_of(
        rng.gamma(rng.choice([0.3, 1.0, 3.0]), size=shape),
        int(rng.integers(1, 11)),
        int(rng.integers(1, 5)),
        area_km2=area,
        min_compactness=float(rng.choice([0.0, 0.7, 0.8, 1.0])),
        min_separation_m=float(rng.choice([0.0, 300.0, 510.0, 800.0])),
    )
    zones = best_zones(problem)
    assert are_allowed(problem, zones)
    best = best_of_all(problem)
    assert worth(problem, zones) == pytest.approx(best, rel=1e-9)
    assert best <= best_free(problem.value, problem.area_km2, problem.max_km2) * (1 + 1e-9)


@pytest.fixture(scope="module")
def town():
    """A larger grid with three centres and noise."""
    y, x = np.mgrid[0:30, 0:40]
    centres = [(8, 8, 3.0), (20, 30, 2.0), (25, 6, 1.0)]
    value = sum(w * np.exp(-((x - b) ** 2 + (y - a) ** 2) / 8.0) for a, b, w in centres)
    return value * np.random.default_rng(3).gamma(4.0, 0.25, value.shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "n_zones", "compactness", "separation_m"),
    [(4, 5, 0.8, 0), (10, 5, 0.8, 0), (10, 2, 1.0, 0), (25, 5, 0.8, 1500), (60, 3, 0.9, 0)],
)
def test_every_rule_holds_on_a_larger_grid(town, n, n_zones, compactness, separation_m):
    problem = problem_of(
        town, n, n_zones, min_compactness=compactness, min_separation_m=separation_m
    )
    zones = best_zones(problem)
    assert are_allowed(problem, zones)
    assert sum(map(len, zones)) == n
    bound = best_free(problem.value, problem.area_km2, problem.max_km2)
    assert 0.6 * bound < worth(problem, zones) <= bound * (1 + 1e-9)
    values = [problem.value[zone].sum() for zone in zones]
    assert values == sorted(values, reverse=True)


def test_cells_apart_and_as_many_zones_are_the_best_free_cells(town):
    apart = np.zeros(town.shape)
    apart[::3, ::3] = town[::3, ::3]
    problem = problem_of(apart, 6, 6, min_compactness=1.0)
    cells = sorted(cell for zone in best_zones(problem) for cell in zone)
    assert cells == sorted(np.argsort(-problem.value)[:6].tolist())


@pytest.mark.slow
def test_a_mirrored_city_has_mirrored_zones_of_equal_worth(town):
    direct = problem_of(town, 12, 4, min_compactness=0.8)
    mirrored = problem_of(town[:, ::-1], 12, 4, min_compactness=0.8)
    assert worth(mirrored, best_zones(mirrored)) == pytest.approx(
        worth(direct, best_zones(direct)), rel=1e-9
    )


@pytest.mark.slow
def test_equal_problems_have_equal_answers_and_scale_changes_none(town):
    problem = problem_of(town, 12, 4, min_compactness=0.8)
    zones = best_zones(problem)
    assert best_zones(problem) == zones
    assert best_zones(problem_of(town * 0.125, 12, 4, min_compactness=0.8)) == zones


@pytest.mark.slow
def test_more_area_and_more_zones_are_never_worth_less(town):
    by_area = [worth(p, best_zones(p)) for p in (problem_of(town, n, 3) for n in (2, 4, 8, 16))]
    assert by_area == sorted(by_area)
    by_number = [worth(p, best_zones(p)) for p in (problem_of(town, 8, n) for n in (1, 2, 4, 8))]
    assert by_number == sorted(by_number)


def test_a_uniform_city_is_filled_by_compact_zones():
    problem = problem_of(np.ones((9, 9)), 9, 1, min_compactness=1.0)
    (zone,) = best_zones(problem)
    assert len(zone) == 9
    assert int((~np.isin(problem.neighbours[zone], zone)).sum()) == 12


def test_no_cell_fits_a_smaller_budget():
    assert best_zones(problem_of(np.ones((3, 3)), 0.5, 2)) == []
