"""Backtests with a daily refresh: blind to the future, late where data are late, and worth something."""

from dataclasses import replace

import numpy as np
import pytest

from app.core.errors import InvalidInput
from app.evaluation.backtests.checkpoints import TaskStore
from app.evaluation.backtests.daily import daily_models
from app.evaluation.backtests.execute import (
    Execution,
    Protocol,
    Task,
    results_of_fit,
    run_protocol,
    tasks_of,
)
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.result import result_json
from models.base import FitContext
from models.catalog import create_model
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.synthetic_backtest import HORIZON_DAYS

MODEL = "pooled-kde"


def moved_from(incidents, grid, since_s):
    """From an instant on, all incidents in the west happen in the east, at the same height."""
    later = incidents.since(since_s)
    middle = grid.x0_m + grid.nx * grid.cell_size_m / 2
    x_m = np.where(later.x_m < middle, 2 * middle - later.x_m, later.x_m).astype(np.float32)
    turned = Incidents(x_m, later.y_m, later.time_s, later.window, later.category)
    turned = turned.take(grid.locate(turned.x_m, turned.y_m) >= 0)
    past = incidents.before(since_s)
    names = ("x_m", "y_m", "time_s", "window", "category")
    return Incidents(*(np.concatenate([getattr(past, n), getattr(turned, n)]) for n in names))


@pytest.fixture
def daily(origins):
    return Protocol((MODEL,), (origins[0],), HORIZON_DAYS, refresh="daily")


def tables(incidents, grid, protocol):
    """The probabilities of each day of the first origin."""
    origin = protocol.origins_s[0]
    cutoff = protocol.cutoff_of(origin)
    fitted = create_model(MODEL).fit(incidents.before(cutoff), grid, FitContext(cutoff))
    days = daily_models(fitted, incidents, grid, Task(MODEL, origin, 0), protocol)
    return [model.probability_[0] for model, _ in days]


@pytest.mark.parametrize("delay_days", [0, 3])
def test_a_day_knows_nothing_of_itself_and_later_nor_of_what_is_late(
    incidents, grid, daily, delay_days
):
    protocol = replace(daily, delay_days=delay_days)
    change = 5
    since_s = protocol.origins_s[0] + change * DAY_S
    before = tables(incidents, grid, protocol)
    after = tables(moved_from(incidents, grid, since_s), grid, protocol)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    n_same = change + 1 + delay_days
    assert same == [True] * n_same + [False] * (HORIZON_DAYS - n_same)


def test_the_first_day_is_the_model_as_fitted(incidents, grid, daily):
    origin = daily.origins_s[0]
    fitted = create_model(MODEL).fit(incidents.before(origin), grid, FitContext(origin))
    np.testing.assert_allclose(tables(incidents, grid, daily)[0], fitted.probability_[0])


@pytest.mark.slow
def test_after_a_change_it_is_worth_the_more_the_earlier_it_is_known(incidents, grid, daily):
    changed = moved_from(incidents, grid, daily.origins_s[0])
    gains = []
    for delay_days in (0, 4, HORIZON_DAYS):
        protocol = replace(daily, delay_days=delay_days)
        results = run_protocol(changed, grid, protocol, Execution(1))
        (row,) = result_json(results, changed, grid, protocol)["refresh"]["differences"]
        assert (row["model"], row["against"]) == (f"{MODEL} daily", MODEL)
        gains.append(row["log_score"])
    assert gains[0] > gains[1] > 0.01
    # What is known as late as the horizon is long does not know the change.
    assert gains[2] < 0.25 * gains[0]


@pytest.mark.slow
def test_an_interrupted_backtest_continues_with_both_results_of_a_fit(
    incidents, grid, daily, tmp_path
):
    results = run_protocol(incidents, grid, daily, Execution(1))
    assert [r.task.model for r in results] == [t.model for t in tasks_of(daily)]
    store = TaskStore(tmp_path, incidents, grid, daily)
    store.save(results[0])  # interrupted between the two
    again = run_protocol(incidents, grid, daily, Execution(1, tmp_path))
    for one, other in zip(results, again, strict=True):
        np.testing.assert_array_equal(one.scored.log_density, other.scored.log_density)
    late = replace(daily, delay_days=1)
    assert TaskStore(tmp_path, incidents, grid, late).key != store.key


def test_without_refresh_nothing_is_added(incidents, grid, daily):
    plain = replace(daily, refresh=None)
    (only,) = results_of_fit(incidents, grid, tasks_of(plain)[0], plain)
    both = results_of_fit(incidents, grid, tasks_of(plain)[0], daily)
    np.testing.assert_array_equal(only.scored.log_density, both[0].scored.log_density)
    assert "refresh" not in result_json([only], incidents, grid, plain)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"refresh": "hourly"}, "refresh"),
        ({"delay_days": 3}, "delay_days"),
        ({"refresh": "daily", "delay_days": -1}, "delay_days"),
        ({"refresh": "daily", "delay_days": 366}, "delay_days"),
    ],
)
def test_wrong_requests_name_the_field(given, field):
    with pytest.raises(InvalidInput) as refused:
        BacktestRequest(**given).checked()
    assert refused.value.field == field


def with_arrivals(incidents, late_s):
    """The same incidents, each known so long after it happened."""
    return replace(incidents, arrived_s=incidents.time_s + late_s)


@pytest.mark.slow
def test_what_had_not_arrived_is_not_known(incidents, grid, daily):
    """Incidents that all arrive three days late give what a delay of three days gives to a day's state."""
    late = with_arrivals(incidents, 3 * DAY_S)
    change = 5
    since_s = daily.origins_s[0] + change * DAY_S
    moved = moved_from(incidents, grid, since_s)
    before, after = tables(late, grid, daily), tables(with_arrivals(moved, 3 * DAY_S), grid, daily)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True] * (change + 4) + [False] * (HORIZON_DAYS - change - 4)
    at_once = tables(with_arrivals(incidents, 0), grid, daily)
    for one, other in zip(tables(incidents, grid, daily), at_once, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(before[4], at_once[4])


def test_a_fit_knows_only_what_had_arrived_at_its_origin(incidents, grid, daily):
    plain = replace(daily, refresh=None)
    task = tasks_of(plain)[0]
    late = with_arrivals(incidents, 30 * DAY_S)
    known = incidents.take(late.arrived_s <= task.origin_s)
    both = np.concatenate(
        [
            np.flatnonzero(late.arrived_s <= task.origin_s),
            np.flatnonzero(incidents.time_s >= task.origin_s),
        ]
    )
    assert len(known) < len(incidents.before(task.origin_s))
    (one,) = results_of_fit(late, grid, task, plain)
    (other,) = results_of_fit(incidents.take(np.unique(both)), grid, task, plain)
    np.testing.assert_array_equal(one.scored.log_density, other.scored.log_density)
