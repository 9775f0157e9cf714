"""M1 to M3: hardly any data, or strange data, never become a forecast that is not one."""

import json

import numpy as np
import pytest

from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

MODELS = ("stack", "maf", "pooled-kde", "multi-kde", "uniform")


def region_with(engine, settings, name, rows):
    area = synthetic_city().area.to_geojson()
    add_region(engine, name, timezone=TIMEZONE, boundary=area, cell_size_m=1000.0)
    if rows:
        body = json.dumps(rows).encode().replace(b'"NaN"', b'"nan"')
        source = UploadSource("application/json")
        return ingest(engine, name, [body], source, settings=settings)
    return None


def incident(day, longitude=None, latitude=None):
    ring = np.array(synthetic_city().area.to_geojson()["coordinates"][0])
    middle = ring.mean(axis=0)
    return {
        "occurred_at": f"2019-{1 + day // 28:02d}-{1 + day % 28:02d}T{day % 24:02d}:10:00Z",
        "longitude": middle[0] if longitude is None else longitude,
        "latitude": middle[1] if latitude is None else latitude,
        "category": "theft",
    }


def outcome(engine, settings, name, model):
    """Return why training refused, or "" after checking that the forecast's densities are sound."""
    request = TrainingRequest(model=model, validate=True, seed=0)
    run = run_now(engine, settings, name, request, lambda _s, _m: None)
    if run.status == "failed":
        return run.message
    assert run.status == "succeeded"
    forecast = ForecastService(engine, settings).forecast(
        name, Selector(window=5, model=run.model_version)
    )
    assert np.isfinite(forecast.probability).all()
    assert (forecast.probability >= 0).all()
    assert abs(forecast.probability.sum() - 1) <= 1e-6
    assert np.isfinite(forecast.expected_count).all()
    assert np.isfinite(forecast.total_interval).all()
    return ""


def test_an_empty_region_says_so(engine, settings):
    region_with(engine, settings, "empty", [])
    for model in MODELS:
        assert outcome(engine, settings, "empty", model).startswith("no_incidents: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("one", [incident(3)]),
        ("equal", [incident(3) for _ in range(40)]),
        # A city of one place has nothing to compare it with, so it is no default geocode.
        ("place", [incident(d) for d in range(120)]),
    ],
)
def test_one_point_or_one_place(engine, settings, name, rows):
    region_with(engine, settings, name, rows)
    for model in ("stack", "maf", "pooled-kde", "uniform"):
        assert outcome(engine, settings, name, model) == ""


def test_rows_that_are_no_numbers_are_refused_and_the_rest_kept(engine, settings):
    rows = [incident(d) for d in range(40)]
    rows += [incident(5, longitude="NaN"), incident(6, latitude="nan"), incident(7, longitude=None)]
    summary = region_with(engine, settings, "strange", rows)
    assert (summary.received, summary.rejected) == (43, 2)
    assert summary.rejected_by_code == {"not_a_number": 2}


def test_sixty_points_are_not_learnt_by_heart():
    """M2: train minus test at most half a nat, whichever model; 60 points of a known density."""
    from app.geo.grid import build_grid
    from app.geo.hour_of_week import windows_of
    from models.base import FitContext
    from models.catalog import create_model
    from models.incidents import Incidents

    city = synthetic_city()
    grid = build_grid(city.area, 500.0)

    def drawn(n, seed):
        frame = city.draw(60, 40, seed=seed).head(n)
        from app.geo.study_area import to_metres

        x_m, y_m = to_metres(
            frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), city.area.crs
        )
        time_s = frame["occurred_at"].dt.as_unit("s").astype("int64").to_numpy()
        window = windows_of(time_s, TIMEZONE)
        zeros = np.zeros(n, np.int16)
        return Incidents(x_m.astype("f4"), y_m.astype("f4"), time_s, window, zeros)

    train, test = drawn(60, 1), drawn(2_000, 2)
    context = FitContext(int(train.time_s[-1]) + 1)
    for name in ("maf", "pooled-kde", "multi-kde", "recent-kde"):
        model = create_model(name).fit(train, grid, context)
        scores = [
            model.log_density(rows[rows >= 0], d.window[rows >= 0]).mean()
            for d in (train, test)
            for rows in [grid.locate(d.x_m, d.y_m)]
        ]
        assert scores[0] - scores[1] <= 0.5, (name, scores)
