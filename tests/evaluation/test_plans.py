"""What a backtest keeps for plans: the best cells by hour, for the service alone."""

import numpy as np
import pytest

from app.evaluation.backtests.checkpoints import Task, TaskResult
from app.evaluation.backtests.plans import (
    DAY_HOURS,
    N_CELLS,
    grid_digest,
    plan_shares,
    plans_json,
    read_plan,
)
from app.releases.disclosure import shown_backtest
from models.densities.uniform import Uniform
from tests.support.simulated.square_grid import square_grid


def fitted_of(tables):
    model = Uniform()
    model.probability_ = tables
    return model


@pytest.mark.parametrize("n_windows", [1, 168])
def test_hours_and_cells_come_back_in_proportion(n_windows):
    random = np.random.default_rng(1)
    grid = square_grid(20, 15)
    tables = random.dirichlet(np.full(300, 0.3), size=n_windows)
    windows = random.integers(0, 168, 5_000).astype(np.int16)
    found = plan_shares(fitted_of(tables), windows)
    weight = 1.0 + np.bincount(windows, minlength=168)
    expected = np.zeros((DAY_HOURS, 300))
    for window in range(168):
        expected[window % 24] += weight[window] * tables[window % n_windows]
    best = np.sort(np.argsort(-expected.sum(axis=0), kind="stable")[:N_CELLS])
    assert found.rows.tolist() == best.tolist()
    result = TaskResult(Task("known", 86_400, 0), None, {}, None, 0.0, plan=found)
    daily = TaskResult(Task("known daily", 86_400, 0), None, {}, None, 0.0)
    stored = plans_json([result, daily], grid)
    assert stored.keys() == {"known"}
    cells, shares = read_plan(stored["known"]["86400"])
    assert cells.tolist() == grid.cell_id[best].tolist()
    assert shares / shares.max() == pytest.approx(
        expected[:, best] / expected[:, best].max(), rel=2e-3, abs=1e-4
    )


def test_no_reply_shows_them():
    result = {"plans": {"known": {}}, "models": {}, "provenance": {}}
    assert "plans" not in shown_backtest(result, exact=True)
    on_release = {**result, "provenance": {"request": {"release": 3}}, "released": {}}
    on_release |= {"differences": [], "n": 0, "neighbourhoods": None}
    assert "plans" not in shown_backtest(on_release, exact=False)


def test_other_cells_have_another_digest():
    assert grid_digest(square_grid(3, 2)) == grid_digest(square_grid(3, 2))
    assert grid_digest(square_grid(3, 2)) != grid_digest(square_grid(2, 3))
