"""The study's table: who learns from what, whole hits out of n, and honest uncertainty."""

import json

import numpy as np
import pytest

from app.evaluation.paper.figure import FigureRequest, block_losses, block_plot
from app.evaluation.paper.table import (
    PaperRequest,
    latest_per_window,
    paper_table,
    typical_window,
)
from models.units import DAY_S, N_WINDOWS


@pytest.fixture(scope="module")
def table(incidents, grid):
    request = PaperRequest(
        n_seeds=2,
        models=("window-kde", "gmm"),
        pooled_models=("pooled-kde", "uniform"),
        sizes=(10, 60),
        n_jobs=1,
    )
    return paper_table(incidents, grid, request)


def test_each_window_keeps_its_latest_incidents_and_the_whole_test(incidents):
    origin_s = int(incidents.time_s[-1]) - 28 * DAY_S
    chosen = latest_per_window(incidents, origin_s, 7)
    before, after = chosen.before(origin_s), chosen.since(origin_s)
    assert len(after) == len(incidents.since(origin_s))
    whole = incidents.before(origin_s)
    for window in (0, 50, 167):
        mine = whole.time_s[whole.window == window][-7:]
        np.testing.assert_array_equal(before.time_s[before.window == window], mine)
    assert np.all(np.diff(chosen.time_s) >= 0)


def test_typical_window_is_nearest_in_size_and_then_most_tested():
    n_train = np.array([5, 200, 210, 190, 200])
    assert typical_window(n_train, np.array([9, 1, 9, 9, 3]), 200) == 4
    assert typical_window(n_train, np.array([9, 1, 9, 9, 3]), 208) == 2


def test_table_counts_whole_hits_of_the_same_incidents(table):
    assert [part["size"] for part in table["sets"]] == [10, 60]
    for part in (p[kind] for p in table["sets"] for kind in ("one_window", "all_windows")):
        for row in part["models"].values():
            hits = [row["hits"][k] for k in ("1", "5", "10", "15", "20")]
            caught = [h["hits"] for h in hits]
            assert caught == sorted(caught)
            assert caught[-1] <= part["n"]
            for h in hits:
                assert isinstance(h["hits"], int)
                assert h["least"] <= h["hits"] <= h["most"]
                assert h["wilson"][0] <= h["hits"] / part["n"] <= h["wilson"][1]
    one = table["sets"][0]["one_window"]
    assert one["n"] < table["sets"][0]["all_windows"]["n"] == table["pooled"]["n"]
    assert one["n_train"] == 10
    json.dumps(table)


def test_seeds_are_counted_only_where_they_matter(table):
    models = table["sets"][1]["all_windows"]["models"]
    assert models["window-kde"]["n_seeds"] == 1
    assert models["window-kde"]["auc_sd_seeds"] is None
    assert models["gmm"]["n_seeds"] == 2
    assert models["gmm"]["auc_sd_seeds"] > 0


def test_pooling_beats_single_windows_where_hours_are_alike(table):
    pooled = table["pooled"]["models"]["pooled-kde"]
    single = table["sets"][0]["all_windows"]["models"]["window-kde"]
    assert pooled["log_score"] > single["log_score"]
    found = next(d for d in table["pooled"]["differences"] if d["second"] == "uniform")
    assert found["auc"][1] > 0


def test_one_window_cannot_tell_its_models_apart(table):
    """With the study's numbers of incidents no pair differs beyond chance."""
    assert min(m["p"] for m in table["sets"][1]["one_window"]["mcnemar"]) > 0.05


@pytest.mark.slow
def test_block_losses_of_both_presets(incidents, grid):
    request = FigureRequest(n_windows=1, n_seeds=2, test_days=60, blocks=(1, 2), largest=(1, 8))
    found = block_losses(incidents, grid, request)
    n_past = int(np.bincount(incidents.window, minlength=N_WINDOWS).max())
    assert found["n_train"] + found["n_test"] <= n_past
    for losses in found["losses"].values():
        assert np.array(losses).shape == (2, 2)
        assert np.all(np.isfinite(losses))
    for density in found["density"].values():
        assert (density * grid.area_km2).sum() == pytest.approx(1.0, abs=1e-6)
    assert block_plot(found, grid, "png").startswith(b"\x89PNG")
