"""One service, asked everything from 16 threads at once: it lives, and says what it says one by one.

A short round of drill X1 (`tests/resilience/hammer.py`). The service is a process of its own, so
that a crash fails the test instead of ending it.
"""

from random import Random

import pytest
import shapely
from fastapi.testclient import TestClient

from app.access.service import NewKey, create_key
from app.geo.study_area import StudyArea
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.main import create_app
from app.regions.service import add_region
from app.training.service import TrainingRequest, request_training
from app.worker.jobs import work_on
from tests.resilience.hammer import FAULTHANDLER, hammered, round_of
from tests.support.hammer.requests import SPARE
from tests.support.hammer.world import World
from tests.support.services.service import Service

N_REQUESTS = 100


@pytest.fixture(scope="module")
def region(engine, settings, town_csv):
    """A trained region whose boundary has corners enough for GEOS to index them."""
    plain = synthetic_city().area
    area = StudyArea(shapely.segmentize(plain.polygon_m, 25.0), plain.crs)
    add_region(engine, "hammered", timezone=TIMEZONE, boundary=area.to_geojson(), cell_size_m=500.0)
    add_region(engine, SPARE, timezone="UTC")
    ingest_file(engine, "hammered", town_csv, settings=settings)
    request = TrainingRequest(model="uniform", validate=False)
    work_on(engine, settings, "train", request_training(engine, settings, "hammered", request).id)
    return "hammered"


def test_all_routes_from_16_threads_at_once(engine, settings, region, tmp_path):
    target = Service(
        tmp_path,
        workers=0,
        environment={
            **FAULTHANDLER,
            "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        },
    )
    address = f"http://127.0.0.1:{target.port}"
    key = {"X-API-Key": create_key(engine, NewKey("hammer", ("admin",), rate_per_s=0)).text}
    with TestClient(create_app(settings, engine), base_url=address, headers=key) as one_by_one:
        world = World.seen(one_by_one, region)
        asks = round_of(world, Random(1), 0, N_REQUESTS)
        assert {ask.operation for ask in asks} == {o.name for o in world.operations}
        assert hammered(target, one_by_one, key, asks) == []
