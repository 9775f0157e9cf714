"""Why here: parts sum to the whole, each is what the tables say, and the words say the factors."""

from math import exp, log

import numpy as np
import pytest

from app.forecasts.explain.parts import parts_of
from app.forecasts.explain.words import EXPLANATIONS, reasons, sentence
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from models.densities.ingredients import Ingredients
from models.densities.state import mean_over_hours
from tests.support.services.served import NEW, register

BASE = "/v1/regions/town/forecasts"
AT = "2019-12-30T23:00"
ROW = 100
WHEN = {
    "hour": {"at": AT},
    "window": {"window": 7},
    "night": {"from": "2019-12-27T22:00", "to": "2019-12-28T06:00"},
}


@pytest.fixture(scope="module")
def split(served):
    """The name of a version of known ingredients, and these."""
    profile = np.ones(168)
    whole = mean_over_hours(served.tables, profile)
    rng = np.random.default_rng(2)
    tables = whole * np.exp(rng.normal(0.0, 0.3, (8, len(whole))))
    tables[-1] = whole
    made = Ingredients(("drift", "recent", "near_repeats"), tables / tables.sum(1, keepdims=True))
    name = register(
        served.engine, served.data, "stack", NEW, {-1: served.tables}, tensors=made.tensors()
    )
    return name, made


def explain(served, expected=200, **params):
    reply = served.client.get(f"{BASE}/explain", params=params)
    assert reply.status_code == expected, reply.text
    return reply.json()


def chosen(served, n=1):
    """Ids of cells in the middle of the city, beside each other."""
    return served.grid.cell_id[ROW : ROW + n].tolist()


def selected(cells):
    return {"cell": cells[0]} if len(cells) == 1 else {"cells": ",".join(map(str, cells))}


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("more", [{}, {"model": "stack"}, {"category": "robbery"}])
def test_the_parts_sum_to_the_whole(served, split, when, n, more):
    category = {"category": served.data.categories[1]} if "category" in more else more
    cells = chosen(served, n)
    found = explain(served, **WHEN[when], **selected(cells), **category)
    assert sum(p["log_ratio"] for p in found["parts"]) == pytest.approx(
        found["log_ratio"], abs=1e-9
    )
    ratio = log(found["expected_count"] / found["average_count"])
    assert found["log_ratio"] == pytest.approx(ratio, abs=1e-9)
    density = served.client.get(f"{BASE}/density", params={**WHEN[when], **category}).json()
    count = dict(zip(density["cells"]["id"], density["cells"]["expected_count"], strict=True))
    assert found["expected_count"] == pytest.approx(sum(count[c] for c in cells), rel=1e-6)
    assert found["state"] == density["state"]


def test_each_part_is_what_the_tables_say(served, split):
    """An hour of one cell, by hand."""
    name, made = split
    (cell,), row = chosen(served), ROW
    found = {
        p["part"]: p["times"] for p in explain(served, cell=cell, window=7, model=name)["parts"]
    }
    service = ForecastService(served.engine, served.client.app.state.hotslot.settings)
    profile = np.array(service.versions.read("town", name).counts.profile)
    whole = mean_over_hours(served.tables, profile)
    area = served.grid.area_km2 / served.grid.area_km2.sum()
    inside = np.prod([found[part] for part in ("long_run", "drift", "recent", "near_repeats")])
    assert inside == pytest.approx(whole[row] / area[row], rel=1e-5)
    assert found["own_hours"] == pytest.approx(served.tables[7, row] / whole[row], rel=1e-5)
    assert found["city_hours"] == pytest.approx(profile[7], rel=1e-9)
    # Between none and all: what each order would give lies around the mean over all orders.
    logs = np.log(made.tables[:, row])
    firsts, lasts = logs[[1, 2, 4]] - logs[0], logs[7] - logs[[6, 5, 3]]
    for part, one, other in zip(("drift", "recent", "near_repeats"), firsts, lasts, strict=True):
        assert min(one, other) - 0.7 < log(found[part]) < max(one, other) + 0.7
    total = sum(log(found[part]) for part in ("drift", "recent", "near_repeats"))
    assert total == pytest.approx(logs[7] - logs[0], abs=1e-5)


def test_an_average_of_all_cells_and_hours_is_one(served):
    """All cells over a week without holidays: the city is as its own average."""
    service = ForecastService(served.engine, served.client.app.state.hotslot.settings)
    selector = Selector(window=7)
    forecast = service.forecast("town", selector)
    parts = parts_of(service, forecast, np.arange(len(served.grid)))
    assert parts.log_ratio["long_run"] == pytest.approx(0.0, abs=1e-9)
    assert parts.log_ratio["own_hours"] == pytest.approx(0.0, abs=1e-9)
    profile = np.array(forecast.version.counts.profile)
    assert parts.total == pytest.approx(log(profile[7]), abs=1e-9)


def test_models_that_cannot_be_split_say_so(served, split):
    (cell,) = chosen(served)
    assert explain(served, cell=cell, at=AT, model="stack")["unsplit"] is None
    flat = explain(served, cell=cell, at=AT, model="flat")
    assert flat["unsplit"]["code"] == "why_unsplit"
    assert [p["part"] for p in flat["parts"]] == ["long_run", "own_hours", "city_hours"]


def test_the_words_say_the_factors_that_matter():
    told = reasons({"long_run": log(4.0), "drift": log(1.5), "recent": 0.01, "own_hours": log(0.8)})
    assert [m.code for m in told] == ["why_long_run_times", "why_drift_more", "why_own_hours_less"]
    assert sentence(told) == (
        "4.0 times the city's average all year; 50 % more by the trend of the last months; "
        "at these hours 20 % less than its own usual share."
    )
    assert [m.code for m in reasons({"long_run": 0.0})] == ["why_long_run_same"]
    for part in ("long_run", "drift", "recent", "near_repeats", "category", "state"):
        for value in (0.2, 2.0, -0.2, -2.0):
            (message,) = reasons({part: value})
            share = message.params.get("times") or 1 + np.sign(value) * message.params["share"]
            assert share == pytest.approx(exp(value), rel=0.01), message
            assert message.code in EXPLANATIONS.templates


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({"at": AT}, 422, "cell"),
        ({"at": AT, "cell": 1, "cells": "1,2"}, 422, "cell"),
        ({"at": AT, "cells": "1,two"}, 422, "cells"),
        ({"at": AT, "cells": ",".join(map(str, range(201)))}, 422, "cells"),
        ({"at": AT, "cell": 10**12}, 404, "cell"),
        ({"cell": 1}, 422, "at"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused(served, params, status, field):
    assert explain(served, status, **params)["field"] == field
