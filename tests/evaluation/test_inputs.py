"""What fits read, and what they give, are the same bits after the way through the database."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from app.evaluation.backtests.consistency.clustering import joint_tests
from app.evaluation.backtests.counts import count_forecasts
from app.evaluation.backtests.execute import Inputs, fit_unit
from app.evaluation.backtests.sharing.inputs import (
    InputsDiffer,
    pack_inputs,
    pack_results,
    plan_digest,
    unpack_inputs,
    unpack_results,
)
from app.geo.synthetic import TIMEZONE
from models.times.intervals import Intervals


def equal(a, b):
    for one in fields(a):
        left, right = getattr(a, one.name), getattr(b, one.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        elif hasattr(left, "__dataclass_fields__"):
            equal(left, right)
        else:
            assert left == right


@pytest.fixture(scope="module")
def joint(incidents, grid, protocol):
    counts = count_forecasts(incidents, TIMEZONE, protocol)
    return joint_tests(incidents, grid, protocol, counts)


@pytest.fixture
def known_late(incidents):
    """Incidents with every column: intervals, arrivals and minutes."""
    n = len(incidents)
    hours = np.where(np.arange(n) % 5 == 0, 2, 0)
    total = int(hours.sum())
    intervals = Intervals.evenly(
        incidents.time_s,
        incidents.time_s + 3600 * hours,
        hours,
        np.arange(total, dtype=np.int16) % 168,
        np.full(total, 0.5, np.float32),
    )
    minute = (incidents.time_s // 60 % 60).astype(np.int16)
    late = {"arrived_s": incidents.time_s + 9, "intervals": intervals, "minute": minute}
    return replace(incidents, **late)


def test_inputs_come_back_as_they_were(incidents, known_late, grid, protocol):
    timed = replace(protocol, bounds_s=(1, 2), refresh="daily", delay_days=3)
    for given in (incidents, known_late):
        content = pack_inputs(Inputs(given, grid, timed))
        assert pack_inputs(Inputs(given, grid, timed)) == content
        found, cells, asked, streets, joint = unpack_inputs(content, plan_digest(content))
        equal(found, given)
        equal(cells, grid)
        assert asked == timed
        assert streets is None
        assert joint is None


def test_joint_tests_come_back_as_they_were(incidents, grid, protocol, joint):
    content = pack_inputs(Inputs(incidents, grid, protocol, joint=joint))
    found = unpack_inputs(content, plan_digest(content)).joint
    assert list(found.by_origin) == list(joint.by_origin) == list(protocol.origins_s)
    for origin_s, one in joint.by_origin.items():
        equal(found.by_origin[origin_s], one)
    assert found.key == joint.key


def test_other_data_and_other_software_are_refused(incidents, grid, protocol, monkeypatch):
    content = pack_inputs(Inputs(incidents, grid, protocol))
    plan = plan_digest(content)
    moved = replace(incidents, x_m=np.nextafter(incidents.x_m, np.float32(0)))
    assert plan_digest(pack_inputs(Inputs(moved, grid, protocol))) != plan
    assert (
        plan_digest(pack_inputs(Inputs(incidents, grid, replace(protocol, device="cuda")))) != plan
    )
    with pytest.raises(InputsDiffer):
        unpack_inputs(content[:-1] + b"?", plan)
    monkeypatch.setattr(
        "app.evaluation.backtests.sharing.inputs.models_digest", lambda: "other models"
    )
    with pytest.raises(InputsDiffer, match="software"):
        unpack_inputs(content, plan)


@pytest.mark.parametrize("refresh", [None, "daily"])
def test_results_of_a_fit_come_back_as_they_were(
    incidents, grid, protocol, results, joint, refresh
):
    asked = replace(protocol, refresh=refresh)
    task = results[0].task
    made = fit_unit(Inputs(incidents, grid, asked, joint=joint), task)
    assert made[0].joint is not None
    content = pack_results(made)
    assert pack_results(made) == content
    found = unpack_results(content, task, asked)
    assert len(found) == (1 if refresh is None else 2)
    for one, expected in zip(found, made, strict=True):
        equal(one, expected)
