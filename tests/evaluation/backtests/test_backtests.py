"""The backtest: paired, blind to the future; its pictures and its report."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.evaluation.backtests.counts import count_forecasts, counts_json
from app.evaluation.backtests.execute import (
    Protocol,
    Task,
    fit_and_score,
    held_out,
    joined,
)
from app.evaluation.backtests.plots import calibration_plot, cap_plot
from app.evaluation.backtests.report import html_report
from app.evaluation.backtests.result import (
    neighbourhoods_json,
    result_json,
    seed_spread,
)
from app.evaluation.backtests.small_areas import small_areas_json
from app.geo.neighbourhoods import divide
from app.geo.study_area import to_degrees
from app.geo.synthetic import TIMEZONE
from models.base import FitContext
from models.catalog import MODEL_NAMES, create_model
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.brief_flows import BriefMafPaper, BriefMafWindow
from tests.support.simulated.synthetic_backtest import HORIZON_DAYS, QUICK


@pytest.fixture(scope="module")
def result(results, incidents, grid, protocol):
    half = grid.x0_m + grid.nx * grid.cell_size_m / 2
    return {
        **result_json(results, incidents, grid, protocol),
        "counts": counts_json(count_forecasts(incidents, TIMEZONE, protocol), protocol),
        "neighbourhoods": neighbourhoods_json(
            results, incidents, grid, protocol, two_parts(grid, half), 0
        ),
        "region": "<synthetic & small>",
        "cell_size_m": grid.cell_size_m,
    }


def two_parts(grid, half_m):
    def feature(name, x0, x1):
        x_m = np.array([x0, x1, x1, x0, x0])
        y_m = grid.y0_m + np.array([0, 0, 1, 1, 0]) * grid.ny * grid.cell_size_m
        ring = np.column_stack(to_degrees(x_m, y_m, grid.crs)).tolist()
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "properties": {"name": name}, "geometry": geometry}

    east = grid.x0_m + grid.nx * grid.cell_size_m
    features = [feature("west", grid.x0_m, half_m), feature("east", half_m, east)]
    return {"type": "FeatureCollection", "features": features}


def with_changed_future(incidents, origin_s, seed):
    """The same past; from the origin on, incidents are moved, dropped and added."""
    rng = np.random.default_rng(seed)
    past, future = incidents.before(origin_s), incidents.since(origin_s)
    future = future.take(np.sort(rng.integers(0, len(future), rng.integers(1, 2 * len(future)))))
    shuffled = rng.permutation(len(future))
    return Incidents(
        np.concatenate([past.x_m, future.x_m[shuffled]]),
        np.concatenate([past.y_m, future.y_m[shuffled] + 400]),
        np.concatenate([past.time_s, future.time_s]),
        np.concatenate([past.window, rng.integers(0, 168, len(future)).astype(np.int16)]),
        np.concatenate([past.category, future.category[shuffled]]),
    )


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), model=st.sampled_from(QUICK))
def test_a_fit_does_not_see_the_future(incidents, grid, origins, seed, model):
    """Whatever happens at or after the origin, scores of unchanged incidents stay equal."""
    task = Task(model, origins[0], 0)
    # Only the first days after the origin are scored; all later days are changed.
    first_s = origins[0] + 5 * DAY_S
    protocol = Protocol((model,), (origins[0],), 5)
    original = fit_and_score(incidents, grid, task, protocol)
    changed = fit_and_score(with_changed_future(incidents, first_s, seed), grid, task, protocol)
    np.testing.assert_array_equal(original.scored.log_density, changed.scored.log_density)
    np.testing.assert_array_equal(original.scored.mid_rank, changed.scored.mid_rank)
    np.testing.assert_array_equal(original.flagged, changed.flagged)


def unfitted(name):
    """A model of the catalog; one of every hour's own flow in a short way, which proves no less."""
    small = {"maf-window": BriefMafWindow, "maf-paper": BriefMafPaper}
    return small[name]() if name in small else create_model(name)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_no_model_sees_an_incident_at_or_after_its_origin(incidents, grid, origins, model):
    """Every model: fitted tables are equal to the bit whatever the future holds.

    The fit is even handed the future here; a model must not look past its cutoff by itself.
    """
    origin_s = origins[0]
    context = FitContext(origin_s, seed=3)
    tables = []
    for history in (incidents, with_changed_future(incidents, origin_s, 9)):
        fitted = unfitted(model).fit(history, grid, context)
        tables.append((fitted.probability_, fitted.category_density_))
    np.testing.assert_array_equal(tables[0][0], tables[1][0])
    assert tables[0][1].keys() == tables[1][1].keys()
    for code, table in tables[0][1].items():
        np.testing.assert_array_equal(table.ratio, tables[1][1][code].ratio)
        np.testing.assert_array_equal(table.fixed, tables[1][1][code].fixed)


def test_all_models_meet_the_same_incidents(results, incidents, grid, protocol):
    for origin in protocol.origins_s:
        test = held_out(incidents, origin, HORIZON_DAYS)
        assert {len(r.scored) for r in results if r.task.origin_s == origin} == {len(test)}
        assert test.time_s.min() >= origin
        assert test.time_s.max() < origin + HORIZON_DAYS * DAY_S


def test_result_has_the_contracts_keys(result):
    for name in QUICK:
        scores = result["models"][name]
        assert {"n", "log_score", "cap_auc", "hit_rate", "pai", "pei"} <= scores.keys()
        assert {"1", "5", "10", "20"} <= scores["hit_rate"].keys()
        assert len(scores["per_origin"]) == 2
        assert scores["n"] == sum(o["n"] for o in scores["per_origin"]) == result["n"]
    against = {(d["model"], d["against"]) for d in result["differences"]}
    assert ("window-kde", "pooled-kde") in against
    for found in result["differences"]:
        assert found["lo"] <= found["log_score"] <= found["hi"]
    json.dumps(result)


def test_small_areas_join_all_origins(result, results, incidents, grid, protocol):
    found = result["small_areas"]
    assert list(found["models"]) == list(QUICK)
    rows = found["models"]["pooled-kde"]["periods"]
    assert [(r["days"], r["budget_km2"]) for r in rows] == [
        (days, km2) for days in (7, HORIZON_DAYS) for km2 in (0.6475, 1.295, 1.9425)
    ]
    tasks = [r for r in results if r.task.model == "pooled-kde"]
    for row in rows:
        ends = [o + row["days"] * DAY_S for o in protocol.origins_s]
        tests = [held_out(incidents, o, HORIZON_DAYS) for o in protocol.origins_s]
        early = [t.time_s < end for t, end in zip(tests, ends, strict=True)]
        place = (0.6475, 1.295, 1.9425).index(row["budget_km2"])
        caught = [t.small_areas.period[e, place] for t, e in zip(tasks, early, strict=True)]
        assert row["n"] == sum(e.sum() for e in early)
        assert row["hits"] == np.concatenate(caught).sum() <= row["best_hits"]
        assert row["pai"] == pytest.approx(row["hits"] / row["n"] / row["area_share"])
        assert row["area_km2"] <= row["budget_km2"] + 1e-9
        assert row["rri"] > 0
    for row in found["models"]["window-kde"]["windows"]:
        assert row["n"] == result["n"]
        assert row["pei_lo"] <= row["pei"] <= row["pei_hi"]


def test_worth_is_that_of_the_scores_and_no_hour_is_worth_anything_without_one(result):
    found = result["worth"]
    assert list(found) == list(QUICK)
    against = {(d["model"], d["against"]): d for d in result["differences"]}
    for name in ("uniform", "window-kde"):
        gains, difference = found[name]["gains"], against[name, "pooled-kde"]
        assert gains["nats"]["mean"] == pytest.approx(difference["log_score"])
        assert gains["nats"]["lo"] == pytest.approx(difference["lo"])
        assert gains["cap_auc"]["mean"] == pytest.approx(difference["cap_auc"])
        assert "places_hits" not in gains, "prior-counts was not compared"
    assert found["pooled-kde"]["gains"]["hour_hits"] == {"mean": 0, "lo": 0, "hi": 0}
    assert found["window-kde"]["gains"]["hour_nats"]["mean"] != 0


def test_readers_see_small_areas_of_whole_releases_only(results, incidents, grid, protocol):
    """Parts of test periods, and the year before, would be counts at other instants than releases."""
    bounded = replace(
        protocol, bounds_s=(*protocol.origins_s, protocol.end_of(protocol.origins_s[1]))
    )
    tasks = [r for r in results if r.task.model == "pooled-kde"]
    tests = [bounded.held_out(incidents, o) for o in bounded.origins_s]
    found = small_areas_json({"pooled-kde": tasks}, tests, grid, bounded)["models"]["pooled-kde"]
    assert [row["days"] for row in found["periods"]] == [HORIZON_DAYS] * 3
    assert {row["rri"] for row in (*found["periods"], *found["windows"])} == {None}


def test_difference_is_that_of_the_scores(result):
    for found in result["differences"]:
        one, other = result["models"][found["model"]], result["models"][found["against"]]
        assert found["log_score"] == pytest.approx(one["log_score"] - other["log_score"])
        assert found["cap_auc"] == pytest.approx(one["cap_auc"] - other["cap_auc"])


def test_pooled_knowledge_beats_none(result):
    models = result["models"]
    assert models["pooled-kde"]["log_score"] > models["uniform"]["log_score"] + 0.3
    assert models["uniform"]["cap_auc"] == pytest.approx(0.5, abs=0.06)


def test_neighbourhoods_shares_sum_to_one(result):
    rows = result["neighbourhoods"]["rows"]
    for column in ("area_share", "incident_share"):
        assert sum(r[column] for r in rows) == pytest.approx(1.0)
    for model in QUICK:
        assert sum(r["flagged_share"][model] for r in rows) == pytest.approx(1.0)


def test_shares_of_few_incidents_are_not_told(results, incidents, grid, protocol):
    def rows(minimum, middle_m):
        parts = two_parts(grid, middle_m)
        found = neighbourhoods_json(results, incidents, grid, protocol, parts, minimum)
        assert found["minimum_count"] == minimum
        return {r["name"]: r for r in found["rows"]}

    tests = [held_out(incidents, o, HORIZON_DAYS) for o in protocol.origins_s]
    n = sum((grid.locate(t.x_m, t.y_m) >= 0).sum() for t in tests)
    edge = grid.x0_m + 1.5 * grid.cell_size_m
    few, many = sorted(rows(0, edge).values(), key=lambda r: r["incident_share"])
    n_few = round(few["incident_share"] * n)
    shown = rows(n_few, edge)
    assert not any("hidden" in r for r in shown.values())
    # Of two parts one alone would be the rest of the whole.
    hidden = rows(n_few + 1, edge)
    for name in (few["name"], many["name"]):
        assert hidden[name]["incident_share"] is hidden[name]["incident_share_hi"] is None
        assert hidden[name]["flagged_share"] == shown[name]["flagged_share"]


def test_seed_spread_of_a_deterministic_model_is_nothing(results):
    twin = [replace(r, task=replace(r.task, seed=1)) for r in results]
    spread = seed_spread([r for r in [*results, *twin] if r.task.model == "pooled-kde"])
    assert spread == {"n": 2, "log_score_sd": 0.0, "cap_auc_sd": 0.0}
    assert seed_spread(results[:2])["log_score_sd"] is None


def test_joined_scores_are_those_of_all_incidents(results):
    mine = [r for r in results if r.task.model == "window-kde"]
    scored, shares = joined(mine)
    assert len(scored) == sum(len(r.scored) for r in mine)
    assert scored.best_hits[5] == sum(r.scored.best_hits[5] for r in mine)
    low, high = sorted(r.area_shares[20] for r in mine)
    assert low - 1e-12 <= shares[20] <= high + 1e-12


@pytest.mark.slow
def test_pictures_and_page(result):
    for plot in (cap_plot, calibration_plot):
        assert plot(result, "png").startswith(b"\x89PNG")
        assert ET.fromstring(plot(result, "svg")).tag.endswith("svg")
    page = html_report(result)
    assert page.count("<svg") == 2
    assert "&lt;synthetic &amp; small&gt;" in page
    assert "<synthetic" not in page
    assert "window-kde minus pooled-kde" in page
    assert "has no named neighbourhoods" in html_report({**result, "neighbourhoods": None})
    assert "src=" not in page
    assert 'href="http' not in page


def test_counts_of_the_protocol_are_judged_on_later_hours_only(result):
    counts = result["counts"]
    assert counts["n_slots"] <= 2 * HORIZON_DAYS * 24
    assert 0.8 <= counts["coverage"] <= 0.97
    assert sum(counts["pit"]) == pytest.approx(1.0)


def test_divide_gives_every_cell_a_part(grid):
    half = grid.x0_m + grid.nx * grid.cell_size_m / 2
    found = divide(grid, two_parts(grid, half))
    assert set(found.part.tolist()) == {0, 1}
    assert np.all(np.isnan(found.population))


def test_near_misses_and_turnover_of_each_model(result, results, incidents, grid, protocol):
    for name in QUICK:
        near = result["models"][name]["near_misses"]
        assert near["distance_m"] == [0, 250, 500, 1000]
        assert near["half_width_cells"] == [0, 0, 1, 2], "cells of 500 m"
        assert near["fss"][0] == near["fss"][1]
    best = result["models"]["pooled-kde"]["near_misses"]["fss"]
    assert best[-1] > best[0] > result["models"]["uniform"]["near_misses"]["fss"][0]
    lists = [set(r.listed.tolist()) for r in results if r.task.model == "window-kde"]
    found = result["models"]["window-kde"]["turnover"]
    assert found["jaccard"] == len(lists[0] & lists[1]) / len(lists[0] | lists[1])
    assert found["flip_flop"] is None, "two origins"
    assert result["models"]["uniform"]["turnover"]["left"] == 0.0
    before = [replace(r, listed=None) for r in results]  # of an earlier version
    older = result_json(before, incidents, grid, protocol)["models"]["uniform"]
    assert "near_misses" not in older
