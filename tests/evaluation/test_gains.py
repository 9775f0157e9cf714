"""Information gain in a backtest: its parts, its references, what it says of a model against another."""

import json

import numpy as np
import pytest

from app.evaluation.backtests.counts import count_forecasts
from app.evaluation.backtests.gains import gains_json
from app.evaluation.backtests.result import of_first_seed, result_json
from app.geo.synthetic import TIMEZONE
from app.releases.disclosure import shown_backtest


@pytest.fixture(scope="module")
def counts(incidents, protocol):
    return count_forecasts(incidents, TIMEZONE, protocol)


@pytest.fixture(scope="module")
def found(results, incidents, grid, protocol, counts):
    by_model = of_first_seed(results, protocol)
    return gains_json(by_model, incidents, grid, protocol, counts)


def row_of(found, model, against):
    (row,) = [r for r in found["rows"] if (r["model"], r["against"]) == (model, against)]
    return row


def test_a_gain_is_the_sum_of_its_parts_and_places_are_the_log_score(
    found, results, incidents, grid, protocol
):
    differences = {
        (d["model"], d["against"]): d["log_score"]
        for d in result_json(results, incidents, grid, protocol)["differences"]
    }
    assert len(found["rows"]) == 4, "of three models against two references"
    for row in found["rows"]:
        assert row["gain"] == pytest.approx(row["places"] + row["hours"] + row["rate"])
        # The last, partial hour of a period has no forecast number.
        difference = differences[row["model"], row["against"]]
        assert row["places"] == pytest.approx(difference, abs=0.005)
        assert row["lo"] <= row["gain"] <= row["hi"]
        assert row["n"] == found["n"]
    json.dumps(found)


def test_the_rate_term_is_the_difference_of_expected_numbers(found, counts):
    expected = sum(one.mean.sum() for one in counts.values())
    by_references = sum(one.last_year * len(one.slots) for one in counts.values())
    assert found["expected"] == pytest.approx(expected)
    assert found["expected_by_references"] == pytest.approx(by_references)
    for row in found["rows"]:
        assert row["rate"] == pytest.approx((by_references - expected) / found["n"])


def test_last_year_is_the_mean_of_the_past(counts, incidents):
    """Two hundred days of forty incidents each."""
    for origin_s, one in counts.items():
        past = incidents.before(origin_s)
        hours = (origin_s - past.time_s[0]) / 3600
        assert one.last_year == pytest.approx(len(past) / hours, rel=0.01)


def test_places_and_hours_are_worth_something_in_a_city_that_has_both(found):
    row = row_of(found, "pooled-kde", "uniform")
    assert row["lo"] > 0
    assert max(row["p"], row["p_t"], row["p_w"]) < 0.01
    assert row["hours"] + row["rate"] > 0.02


def test_readers_get_rounded_gains(found):
    request = {"release": 3}
    result = {
        "models": {}, "differences": [], "n": 500, "information_gain": found,
        "provenance": {"request": request}, "released": None,
    }  # fmt: skip
    shown = shown_backtest(result)["information_gain"]["rows"]
    assert [row["gain"] for row in shown] == [round(row["gain"], 3) for row in found["rows"]]
    assert np.all([row["p_t"] == round(row["p_t"], 3) for row in shown])
    assert shown_backtest({**result, "provenance": {}})["information_gain"] is None
