"""Two regions that were fed the same data have versions of one name, and nothing else in common."""

from datetime import UTC, datetime

import pytest

from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now


@pytest.mark.slow
def test_what_arrived_in_one_region_is_not_told_by_its_twin(engine, settings, tmp_path):
    boundary = synthetic_city().area.to_geojson()
    rows = synthetic_city().draw(200, 10.0)
    early = rows[rows["occurred_at"] < "2019-06-01"]
    names = []
    for region, frame in (("one", rows), ("two", early)):
        add_region(engine, region, timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
        csv = tmp_path / f"{region}.csv"
        frame.to_csv(csv, index=False)
        ingest_file(engine, region, csv, settings=settings)
        until = datetime(2019, 6, 1, tzinfo=UTC)
        request = TrainingRequest("uniform", until=until, validate=False)
        names.append(run_now(engine, settings, region, request, lambda _s, _m: None).model_version)
    assert names[0] == names[1]
    service = ForecastService(engine, settings)
    asked = Selector(window=3, model=names[0])
    assert "have arrived since" in service.plan("one", asked).news[0].message
    assert service.plan("two", asked).news == ()
    assert service.cached_plan("two", asked).news == ()
