"""F1: patrols do not decide where patrols are sent; in a simulated urn, and in training itself."""

from dataclasses import replace

import numpy as np
import pytest

from app.fitting.data import load_training_data
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.learning_policy import LearningPolicy
from app.regions.service import add_region, set_policy
from app.regions.store import get_region
from tests.support.simulated.feedback import NAIVE, OURS, simulate


def test_the_naive_urn_stays_where_it_started_and_ours_is_fair():
    naive, ours = simulate(NAIVE, 200, seed=1), simulate(OURS, 200, seed=1)
    assert naive[:, -1].mean() == pytest.approx(0.80, abs=0.03)
    assert np.all((ours[:, -1] >= 0.45) & (ours[:, -1] <= 0.55))


def test_also_a_start_of_reports_washes_out():
    start = replace(OURS, start=(8.0, 2.0), start_discovered=False)
    assert np.all(np.abs(simulate(start, 100, seed=2)[:, -1] - 0.5) <= 0.06)


def test_a_little_weight_is_a_little_feedback():
    final = [
        simulate(replace(NAIVE, report_rate=0.5, discovered_weight=w), 200, seed=3)[:, -1].mean()
        for w in (0.0, 0.3, 1.0)
    ]
    assert final[0] < final[1] < final[2]


@pytest.fixture(scope="module")
def region(engine, settings):
    """A city with as many reports west as east, and 8:2 discovered incidents, drugs among them."""
    city = synthetic_city()
    area = city.area.to_geojson()
    add_region(engine, "feedback", timezone=TIMEZONE, boundary=area, cell_size_m=500.0)
    frame = city.draw(30, 20, seed=1).head(500)
    _send(engine, settings, frame, "theft", "reported", "r")
    return "feedback"


def _send(engine, settings, frame, category, source, prefix):
    lines = ["occurred_at,longitude,latitude,category,external_id,source"]
    for i, r in enumerate(frame.itertuples()):
        at = r.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"{at},{r.longitude:.6f},{r.latitude:.6f},{category},{prefix}{i},{source}")
    body = "\n".join(lines).encode()
    summary = ingest(engine, "feedback", [body], UploadSource("text/csv"), settings=settings)
    assert summary.accepted == len(frame)


def _learnt(engine, categories=None):
    with engine.connect() as connection:
        key = get_region(connection, "feedback").key
    return load_training_data(engine, key, categories, by_policy=True)


def test_training_sees_what_the_policy_allows(engine, settings, region):
    before = _learnt(engine)
    longitude_middle = synthetic_city().draw(5, 20, seed=9)["longitude"].median()
    extra = synthetic_city().draw(60, 20, seed=2)
    west = extra[extra["longitude"] < longitude_middle].head(160)
    east = extra[extra["longitude"] >= longitude_middle].head(40)
    _send(engine, settings, west, "theft", "discovered", "w")
    _send(engine, settings, east, "theft", "discovered", "e")
    assert _learnt(engine).data_hash == before.data_hash
    drugs = synthetic_city().draw(10, 20, seed=4).head(100)
    _send(engine, settings, drugs, "Drug offences", "reported", "d")
    after = _learnt(engine)
    assert after.excluded_categories == ["Drug offences"]
    assert after.data_hash == before.data_hash
    # a run's own list, and the region's settings, go first
    asked = _learnt(engine, ["theft", "Drug offences"])
    assert len(asked.incidents) == len(before.incidents) + 100
    set_policy(engine, region, LearningPolicy("include", 0.5))
    half = _learnt(engine)
    n_discovered = len(half.incidents) - len(asked.incidents)
    assert 60 < n_discovered < 140
    assert _learnt(engine).data_hash == half.data_hash
    set_policy(engine, region, LearningPolicy("include", 1.0))
    assert len(_learnt(engine).incidents) == len(asked.incidents) + 200
    set_policy(engine, region, LearningPolicy())
    assert _learnt(engine).data_hash == before.data_hash


def test_comparisons_of_models_stand_on_all_reports(engine, region):
    with engine.connect() as connection:
        key = get_region(connection, region).key
    assert len(load_training_data(engine, key).incidents) == 600
