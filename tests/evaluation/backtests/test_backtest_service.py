"""Backtests and the gate on a real database, through the same calls as the command line."""

import json
from datetime import UTC, datetime

import pytest

from app.cli.console import opened
from app.core.errors import InvalidInput, NotReady
from app.core.settings import Settings
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.paper.table import PaperRequest, paper_table_of_region
from app.geo.synthetic import TIMEZONE
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now


def quiet(_share, _message):
    pass


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"), database_url=None)


@pytest.fixture(scope="module")
def database(settings, city, tmp_path_factory):
    """A region with 150 days of a synthetic city; its boundary has two named parts."""
    folder = tmp_path_factory.mktemp("data")
    city.draw(n_days=150, per_day=30, seed=3).to_csv(folder / "incidents.csv", index=False)
    with opened(settings) as engine:
        add_region(
            engine, "town", timezone=TIMEZONE, name="Town", boundary=halves(city), cell_size_m=500.0
        )
        ingest_file(engine, "town", folder / "incidents.csv", settings=settings)
        yield engine


def halves(city):
    west, south, east, north = city.area.polygon_m.bounds
    middle = (west + east) / 2
    from app.geo.study_area import to_degrees

    def feature(name, x0, x1, population):
        x, y = [x0, x1, x1, x0, x0], [south, south, north, north, south]
        longitude, latitude = to_degrees(x, y, city.area.crs)
        ring = [list(p) for p in zip(longitude.tolist(), latitude.tolist(), strict=True)]
        return {
            "type": "Feature",
            "properties": {"name": name, "population": population},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    features = [feature("west", west, middle, 3000), feature("east", middle, east, 1000)]
    return {"type": "FeatureCollection", "features": features}


@pytest.mark.slow
def test_backtest_of_a_region_holds_all_that_is_needed_to_repeat_it(database, settings):
    request = BacktestRequest(models=("uniform", "pooled-kde"), n_origins=2)
    first, second = (run_now(database, settings, "town", request, quiet) for _ in range(2))
    assert first.status == second.status == "succeeded"
    result = first.result
    assert result["n"] == result["models"]["uniform"]["n"] > 500
    assert result["region"] == "town"
    assert {r["name"] for r in result["neighbourhoods"]["rows"]} == {"west", "east"}
    shares = {r["name"]: r["population_share"] for r in result["neighbourhoods"]["rows"]}
    assert shares == {"west": 0.75, "east": 0.25}
    assert {"data_hash", "grid", "request", "models_sha256"} <= result["provenance"].keys()
    assert BacktestRequest.from_json(result["provenance"]["request"]) == request
    assert {d["model"]: d["log_score"] for d in result["differences"]} == {
        d["model"]: d["log_score"] for d in second.result["differences"]
    }
    json.dumps(result)


def test_origins_outside_the_data_are_refused(database, settings):
    for year in (2001, 2031):
        request = BacktestRequest(models=("uniform",), origins=(datetime(year, 1, 1, tzinfo=UTC),))
        run = run_now(database, settings, "town", request, quiet)
        assert run.status == "failed"
        assert "no_incidents" in run.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": ("nonsense",)},
        {"models": ()},
        {"models": ("uniform", "uniform")},
        {"n_origins": 0},
        {"horizon_days": 0},
        {"n_seeds": 0},
        {"origins": (datetime(2019, 3, 1),)},
        {"origins": ()},
    ],
)
def test_wrong_requests_name_the_field(wrong):
    with pytest.raises(InvalidInput) as caught:
        BacktestRequest(**wrong).checked()
    assert caught.value.field in wrong


@pytest.mark.slow
def test_a_planted_bad_version_stays_challenger(database, settings):
    def train(model):
        request = TrainingRequest(model=model, seed=0)
        run = run_now(database, settings, "town", request, quiet)
        assert run.status == "succeeded", run.message
        return run.metrics

    assert train("multi-kde")["promoted"]  # the first version of the region
    for bad in ("uniform", "window-kde"):
        found = train(bad)
        assert not found["promoted"]
        assert "worse than" in found["reason"]
        assert found["scores"]["neighbourhoods"]["rows"]
    again = train("pooled-kde")
    assert "the champion" in again["reason"]


def test_paper_table_of_a_region(database, settings):
    request = PaperRequest(1, ("window-kde",), ("pooled-kde",), sizes=(20,))
    found = paper_table_of_region(database, settings, "town", request)
    assert found["region"] == "town"
    assert found["sets"][0]["all_windows"]["n"] == found["pooled"]["n"]
    add_region(database, "empty", timezone=TIMEZONE, name="Empty", boundary=None)
    with pytest.raises(NotReady):
        paper_table_of_region(database, settings, "empty", request)


@pytest.mark.slow
def test_a_feeds_gap_is_passed_over_and_not_judged_as_quiet(database, settings, city, tmp_path):
    frame = city.draw(n_days=240, per_day=15, seed=4)
    day = (frame["occurred_at"] - frame["occurred_at"].iloc[0]).dt.days
    frame[(day < 130) | (day >= 200)].to_csv(tmp_path / "gap.csv", index=False)
    add_region(
        database, "gap", timezone=TIMEZONE, boundary=city.area.to_geojson(), cell_size_m=1000.0
    )
    ingest_file(database, "gap", tmp_path / "gap.csv", settings=settings)
    run = run_now(database, settings, "gap", BacktestRequest(("pooled-kde",), n_origins=3), quiet)
    assert run.status == "succeeded", run.message
    # Periods of the days from 212, 184 and 100 on; the one from 128 on, with two days of data, too.
    assert len(run.result["origins"]) == 3
    assert run.result["counts"]["coverage"] > 0.8
