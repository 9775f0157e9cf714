"""What a forecast says of the data behind it: gaps, late feeds, unknown times, places outside."""

import json

import numpy as np
import pytest

from app.forecasts.service import ForecastService, Selector
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

N_DAYS = 300


def warned(engine, settings, name, frame):
    area = synthetic_city().area.to_geojson()
    add_region(engine, name, timezone=TIMEZONE, boundary=area, cell_size_m=1000.0)
    frame = frame.assign(occurred_at=frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    body = json.dumps(frame.to_dict("records")).encode()
    summary = ingest(engine, name, [body], UploadSource("application/json"), settings=settings)
    assert summary.accepted == len(frame)
    request = TrainingRequest("pooled-kde", validate=False)
    run = run_now(engine, settings, name, request, lambda _share, _message: None)
    assert run.status == "succeeded", run.message
    forecasts = ForecastService(engine, settings)
    return forecasts.forecast(name, Selector(window=5, model=run.model_version)).warnings


@pytest.fixture
def frame():
    return synthetic_city().draw(N_DAYS, 12, seed=8)


def test_good_data_are_told_nothing_of(engine, settings, frame):
    told = warned(engine, settings, "good", frame)
    assert [w.code for w in told] == ["stale", "thin_data"]


def test_a_gap_and_a_late_feed_are_told(engine, settings, frame):
    day = (frame["occurred_at"] - frame["occurred_at"].iloc[0]).dt.days.to_numpy()
    share = np.clip((N_DAYS - day) / 28, 0, 1) * ~((day >= 100) & (day < 160))
    frame = frame[np.random.default_rng(0).random(len(frame)) < share]
    told = warned(engine, settings, "late", frame)
    assert any(w.code == "delivery_gap" and w.params["first"].startswith("2019-04-1") for w in told)
    assert any(w.code == "partial_delivery" for w in told)


def test_times_that_nobody_knows_are_told(engine, settings, frame):
    unknown = np.random.default_rng(1).random(len(frame)) < 0.3
    local = frame["occurred_at"].dt.tz_convert(TIMEZONE)
    midnight = local.dt.normalize().dt.tz_convert("UTC")
    frame["occurred_at"] = local.dt.tz_convert("UTC").where(~unknown, midnight)
    told = warned(engine, settings, "unknown", frame.sort_values("occurred_at"))
    assert any(w.code == "unknown_times" and w.params["at"] == ["00:00"] for w in told)


def test_many_incidents_just_outside_are_told(engine, settings, frame):
    west = np.array(synthetic_city().area.to_geojson()["coordinates"][0])[:, 0].min()
    outside = np.random.default_rng(2).random(len(frame)) < 0.2
    frame["longitude"] = frame["longitude"].where(~outside, west - 0.004)
    told = warned(engine, settings, "beside", frame)
    left_out = [w.params["n"] for w in told if w.code == "incidents_outside"]
    assert left_out == [outside.sum()]
