"""Backtests on what was known then, over HTTP: arrivals are those of the database."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.evaluation.backtests.request import BacktestRequest
from tests.support.simulated.small_region import START, backtest, place

__all__ = ["place"]
ASKED = {"n_origins": 1, "horizon_days": 7, "as_known": True, "refresh": "daily"}


def test_a_history_that_was_loaded_later_is_refused_by_its_name(engine, settings, place):
    _, run = backtest(engine, settings, place, "analyst", "analyst", **ASKED)
    reason = run["message"] if isinstance(run, dict) else run.text
    assert "had arrived by then" in reason


@pytest.mark.slow
def test_with_arrivals_in_time_it_runs_and_says_what_it_stood_on(engine, settings, place):
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE incidents SET inserted_at = occurred_at + interval '1 day'")
        )
    result, run = backtest(engine, settings, place, "admin", "analyst", **ASKED)
    assert run["status"] == "succeeded", run
    assert run["request"]["as_known"] is True
    assert result["refresh"]["differences"][0]["model"] == "pooled-kde daily"
    with engine.begin() as connection:
        connection.execute(text("UPDATE incidents SET inserted_at = occurred_at"))
    sooner, _ = backtest(engine, settings, place, "admin", "analyst", **ASKED)
    assert (
        sooner["models"]["pooled-kde"]["log_score"] != result["models"]["pooled-kde"]["log_score"]
    )


def test_it_needs_the_right_to_list_incidents(place):
    reply = place("trainer", "POST", "/backtests", json={"models": ["uniform"], **ASKED})
    assert (reply.status_code, reply.json()["field"]) == (403, "as_known")


def test_a_stored_request_comes_back(place):
    asked = BacktestRequest(as_known=True, origins=(START, START + timedelta(days=1)))
    assert BacktestRequest.from_json(asked.to_json()) == asked
