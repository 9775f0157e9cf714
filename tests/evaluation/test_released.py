"""What readers see of a backtest: whole origins of enough incidents, at the instants of releases."""

from dataclasses import dataclass

import numpy as np
import pytest

from app.core.errors import InvalidInput, NotReady
from app.evaluation.backtests.checkpoints import Task
from app.evaluation.backtests.execute import Protocol
from app.evaluation.backtests.released import (
    check_periods,
    moved_inside,
    snap_to_releases,
    with_released,
)
from app.releases.store import MIN_GROUP
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.square_grid import square_grid

GRID = square_grid(4, 3)
DAYS = 7


def incidents_of(time_s, x_m=100.0, y_m=100.0):
    time_s = np.sort(np.asarray(time_s, np.int64))
    n = len(time_s)
    return Incidents(
        np.broadcast_to(np.float32(x_m), n).copy(), np.broadcast_to(np.float32(y_m), n).copy(),
        time_s, np.zeros(n, np.int16), np.zeros(n, np.int32),
    )  # fmt: skip


@dataclass
class Result:
    """Of a task."""

    task: Task


def assembled(counts, x_m=100.0):
    """What becomes of origins with so many incidents each, a week apart."""
    origins = tuple(k * 7 * DAY_S for k in range(len(counts)))
    times = [o + k for o, n in zip(origins, counts, strict=True) for k in range(n)]
    results = [Result(Task("uniform", o, 0)) for o in origins]
    protocol = Protocol(("uniform",), origins, DAYS)

    def assemble(shown, used):
        return {"tasks": [one.task.origin_s for one in shown], "origins": used.origins_s}

    found = with_released({"n": 1}, results, protocol, incidents_of(times, x_m), GRID, assemble)
    assert found.pop("n") == 1
    return found


def test_origins_of_few_incidents_are_left_out_of_tasks_and_totals():
    week = 7 * DAY_S
    found = assembled([MIN_GROUP, MIN_GROUP - 1, MIN_GROUP + 1])
    assert found == {"released": {"tasks": [0, 2 * week], "origins": (0, 2 * week)}}


@pytest.mark.parametrize(
    ("counts", "x_m", "released"),
    [([MIN_GROUP] * 2, 100.0, None), ([3, 0], 100.0, {}), ([MIN_GROUP] * 2, -5.0, {})],
    ids=["all", "none", "outside every cell"],
)
def test_all_origins_need_no_second_result_and_none_gives_an_empty_one(counts, x_m, released):
    assert assembled(counts, x_m) == {"released": released}


def test_the_lost_are_moved_to_the_nearest_cell_and_the_others_stay():
    known = incidents_of(range(3), [100.0, -900.0, 5_000.0], [130.0, 380.0, 9_000.0])
    lost = GRID.locate(known.x_m, known.y_m) < 0
    moved = moved_inside(known, GRID, lost)
    assert (moved.x_m.tolist(), moved.y_m.tolist()) == ([100, 125, 875], [130, 375, 625])
    assert known.x_m.tolist() == [100, -900, 5_000], "the original is unchanged"
    assert (GRID.locate(moved.x_m, moved.y_m) >= 0).all()


@pytest.mark.parametrize(
    ("origins", "snapped"),
    [((15, 25, 100), (10, 20, 30)), ((20, 21, 29), (20,)), ((30, 10), (10, 30)), ((), ())],
)
def test_origins_move_back_to_instants_of_releases(origins, snapped):
    assert snap_to_releases(origins, (10, 20, 30)) == snapped


def test_an_origin_before_the_first_release_is_refused():
    with pytest.raises(NotReady, match="before the first release") as refused:
        snap_to_releases((25, 9), (10, 20))
    assert refused.value.code == "too_few_released"


def test_a_horizon_must_reach_the_next_release():
    long = Protocol(("uniform",), (0,), DAYS, bounds_s=(0, 5 * DAY_S, 9 * DAY_S))
    check_periods(long)
    assert long.end_of(0) == 5 * DAY_S
    short = Protocol(("uniform",), (5 * DAY_S,), 3, bounds_s=(0, 5 * DAY_S, 9 * DAY_S))
    with pytest.raises(InvalidInput, match="within 3 days of an origin; choose a longer horizon"):
        check_periods(short)
