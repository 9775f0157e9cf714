"""What readers see of backtests: groups of twenty incidents or more, and no total with a hidden part."""

from datetime import UTC, datetime, timedelta

from tests.responsible.small_region import START, backtest, row

ORIGINS = [(START + timedelta(days=d)).isoformat() for d in range(8, 28)]


def test_a_hidden_origin_is_not_the_total_minus_the_others(engine, settings, place):
    """M2: twenty origins of a day (10 incidents each), and the same with one more of one incident."""
    at = datetime(2024, 2, 5, 13, 7, tzinfo=UTC)
    place("ingester", "POST", "/incidents", json=[row(at, (10.0512, 50.0312))])
    for origins in (ORIGINS, [*ORIGINS, "2024-02-05T00:00:00+00:00"]):
        result, run = backtest(
            engine, settings, place, "admin", models=["uniform"], origins=origins, horizon_days=1
        )
        told = (result["models"], result["n"], result["counts"], result["origins"])
        assert told == ({}, 0, None, [])
    for door in ("cap", "calibration", "report"):
        reply = place("reader", "GET", f"/backtests/{run['id']}/{door}")
        assert reply.status_code == 200, reply.text
        assert "AUC" not in reply.text.replace("CAP-AUC", "")


def test_readers_totals_are_over_the_origins_that_are_shown(engine, settings, place):
    """Days 8 to 27 in weeks, and a last origin of a single incident."""
    at = datetime(2024, 2, 5, 13, 7, tzinfo=UTC)
    place("ingester", "POST", "/incidents", json=[row(at, (10.0512, 50.0312))])
    weeks = [(START + timedelta(days=d)).isoformat() for d in (8, 15, 22)]
    late = "2024-02-04T00:00:00+00:00"
    one, run = backtest(engine, settings, place, "admin", origins=weeks, horizon_days=7)
    two, last = backtest(engine, settings, place, "admin", origins=[*weeks, late], horizon_days=7)
    assert one["n"] == 210
    assert run["status"] == "succeeded"
    for name in ("n", "origins", "differences"):
        assert one[name] == two[name]
    scores = [
        {k: v for k, v in r["models"]["pooled-kde"].items() if k in SHOWN} for r in (one, two)
    ]
    assert scores[0] == scores[1]
    exact = place("analyst", "GET", f"/backtests/{last['id']}").json()["result"]
    assert exact["n"] == 211
    assert len(exact["origins"]) == 4
    assert "data_hash" in exact["provenance"]
    assert "released" not in exact


SHOWN = ("n", "log_score", "cap_auc", "hits", "cap_curve", "calibration")


def test_a_trainers_periods_start_and_end_at_releases(engine, settings, place):
    """A second more or less, or a day, must not move single incidents into a test period."""
    seen = []
    for seconds, days in ((1, 7), (3600, 7)):
        origin = (START + timedelta(days=10, seconds=seconds)).isoformat()
        result, _ = backtest(
            engine, settings, place, "trainer", origins=[origin], horizon_days=days
        )
        assert result["origins"] == ["2024-01-11T00:00:00+00:00"]
        seen.append(result["n"])
    assert set(seen) == {60}, "up to the last instant within the week: six of its days"
    longer, _ = backtest(engine, settings, place, "trainer", origins=[origin], horizon_days=8)
    assert longer["n"] == 80
    late = [
        row(START + timedelta(days=12, hours=3, minutes=k), (10.0512, 50.0312)) for k in range(19)
    ]
    place("ingester", "POST", "/incidents", json=late)
    again = [row(START + timedelta(days=2, minutes=k)) for k in range(10)]
    place("ingester", "POST", "/incidents", json=again)
    after, _ = backtest(engine, settings, place, "trainer", origins=[origin], horizon_days=8)
    assert after["n"] == 80, "nineteen that came late to a period are not enough to show in it"
