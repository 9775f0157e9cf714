"""What a region's forecast is worth: its own test first, a reader's only on releases."""

from datetime import datetime, timedelta

import pytest

from app.core.errors import InvalidInput, NotFound, NotReady
from app.evaluation.worth.service import region_worth
from app.evaluation.worth.table import worth_table
from models.evaluation.worth import GAINS
from tests.support.simulated.small_region import START, backtest, place, train

__all__ = ["place"]
MODELS = ["pooled-kde", "prior-counts", "window-kde"]
WEEKS = [(START + timedelta(days=d)).isoformat() for d in (10, 17)]


def codes(messages):
    return [one["code"] for one in messages]


def test_a_region_without_versions_is_refused(engine, place):
    with pytest.raises(NotReady) as refused:
        region_worth(engine, "small")
    assert refused.value.code == "no_model"
    with pytest.raises(NotFound):
        region_worth(engine, "nowhere")
    assert place("reader", "GET", "/worth").status_code == 409


def test_typical_gains_are_those_of_the_size_and_of_the_delay(engine, settings, place):
    train(engine, settings, place, "trainer")
    end = datetime.fromisoformat(region_worth(engine, "small")["data_until"])
    found = region_worth(engine, "small", now=end + timedelta(days=30, hours=1))
    expected = worth_table().at(300, 30)
    assert (found["n_incidents"], found["delay_days"]) == (300, 30)
    assert found["typical"]["gains"] == expected.gains
    assert codes(found["notes"]) == ["worth_other_model", "worth_not_tested"]
    assert found["own"] is None, "it was not validated"
    assert [row["n"] for row in found["by_size"]] == worth_table().sizes
    old = region_worth(engine, "small", now=end + timedelta(days=91))
    assert (old["delay_days"], codes(old["notes"])[0]) == (0, "worth_old_data")
    assert old["notes"][0]["params"] == {"until": end.date().isoformat(), "days": 91}
    given = region_worth(engine, "small", 91, now=end)
    assert (given["delay_days"], codes(given["notes"])[0]) == (91, "worth_delay_beyond")
    assert given["typical"]["delay_days"] == 90
    for days in (-1, 366):
        with pytest.raises(InvalidInput, match="delay_days must lie within"):
            region_worth(engine, "small", days)


@pytest.mark.slow
def test_the_newest_backtest_of_the_served_model_is_the_regions_own(engine, settings, place):
    train(engine, settings, place, "trainer", model="window-kde")
    request = {"origins": WEEKS, "horizon_days": 7, "models": MODELS}
    _, run = backtest(engine, settings, place, "admin", **request)
    own = place("admin", "GET", "/worth").json()["own"]
    assert (own["source"], own["run"], own["n_origins"]) == ("backtest", run["id"], 2)
    assert set(own["gains"]) == set(GAINS)
    result = place("admin", "GET", f"/backtests/{run['id']}").json()["result"]
    assert own["gains"] == result["worth"]["window-kde"]["gains"]
    assert own["n"] == result["n"]
    assert len(own["verdicts"]) == 3
    assert place("reader", "GET", "/worth").json()["own"] is None, "it is not of a release"
    backtest(engine, settings, place, "trainer", **{**request, "models": ["pooled-kde"]})
    assert place("admin", "GET", "/worth").json()["own"] == own, "the other one had another model"


@pytest.mark.slow
def test_readers_see_tests_on_releases_rounded(engine, settings, place):
    train(engine, settings, place, "trainer", model="window-kde")
    request = {"origins": WEEKS, "horizon_days": 7, "models": MODELS}
    result, run = backtest(engine, settings, place, "trainer", **request)
    shown = place("reader", "GET", "/worth").json()
    assert shown["own"]["run"] == run["id"]
    assert shown["own"]["gains"] == result["worth"]["window-kde"]["gains"]
    exact = place("admin", "GET", "/worth").json()["own"]
    assert exact["gains"] != shown["own"]["gains"]
    for name, gain in shown["own"]["gains"].items():
        assert gain == {end: round(v, 3) for end, v in exact["gains"][name].items()}


def test_a_version_tells_its_own_validation_where_there_is_no_backtest(engine, settings, place):
    train(engine, settings, place, "trainer", model="window-kde", validate=True)
    version = place("admin", "GET", "/models").json()["models"][0]
    own = place("admin", "GET", "/worth").json()["own"]
    assert (own["source"], own["run"], own["n_origins"]) == ("validation", None, 1)
    assert own["gains"] == version["scores"]["worth"]["gains"]
    assert own["n"] == version["scores"]["n"]
