"""What a forecast says of the data behind it: gaps, late feeds, unknown times, places outside."""

import json
from datetime import timedelta

import numpy as np
import pytest

from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.warnings import (
    GAP_RECALLED_DAYS,
    MAX_NAMED,
    STALE_AFTER_DAYS,
    THIN_INCIDENTS,
    places_left_out,
    standing_warnings,
    warnings_of,
)
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.simulated.made_forecasts import CUTOFF, record_of, region_of

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_times_that_nobody_knows_are_told(engine, settings, frame):
    unknown = np.random.default_rng(1).random(len(frame)) < 0.3
    local = frame["occurred_at"].dt.tz_convert(TIMEZONE)
    midnight = local.dt.normalize().dt.tz_convert("UTC")
    frame["occurred_at"] = local.dt.tz_convert("UTC").where(~unknown, midnight)
    told = warned(engine, settings, "unknown", frame.sort_values("occurred_at"))
    assert any(w.code == "unknown_times_spread" and w.params["at"] == ["00:00"] for w in told)


@pytest.mark.slow
def test_many_incidents_just_outside_are_told(engine, settings, frame):
    west = np.array(synthetic_city().area.to_geojson()["coordinates"][0])[:, 0].min()
    outside = np.random.default_rng(2).random(len(frame)) < 0.2
    frame["longitude"] = frame["longitude"].where(~outside, west - 0.004)
    told = warned(engine, settings, "beside", frame)
    left_out = [w.params["n"] for w in told if w.code == "incidents_outside"]
    assert left_out == [outside.sum()]


def of_data(shown=(), region=None, **data):
    record = record_of(report={"data": data})
    return {w.code: w for w in standing_warnings(record, region or region_of(), shown)}


@pytest.mark.parametrize(
    ("ahead", "codes"),
    [
        (timedelta(0), ["in_sample"]),
        (timedelta(hours=1), []),
        (timedelta(days=STALE_AFTER_DAYS, hours=23), []),
        (timedelta(days=STALE_AFTER_DAYS + 1), ["stale"]),
    ],
)
def test_a_forecast_is_of_known_or_of_distant_times(ahead, codes):
    found = warnings_of(record_of(), region_of(), (), CUTOFF + ahead, CUTOFF)
    assert [w.code for w in found] == codes
    if codes == ["stale"]:
        assert found[0].params == {"days": STALE_AFTER_DAYS + 1}


def test_shares_decide_what_of_the_data_is_worth_a_word():
    thin = standing_warnings(record_of(n_incidents=THIN_INCIDENTS - 1), region_of(), ())
    assert [(w.code, w.params) for w in thin] == [("thin_data", {"n": THIN_INCIDENTS - 1})]
    assert of_data(region=region_of(boundary_derived=True)).keys() == {"boundary_derived"}
    assert of_data(outside_study_area=450) == {}
    assert of_data(outside_study_area=500)["incidents_outside"].params == {"n": 500}
    times = [{"at": "00:00", "n_incidents": 100}, {"at": "12:00", "n_incidents": 80}]
    assert of_data(unknown_times=times) == {}
    times[1]["n_incidents"] = 81
    told = of_data(unknown_times=times)["unknown_times"].params
    assert told == {"n": 181, "at": ["00:00", "12:00"]}
    # What counts over whole days is said so; other heaps are forecast where they are written.
    spread = {"n": 181, "at": ["12:00"]}
    times.append({"at": "08:00", "n_incidents": 190})
    both = of_data(unknown_times=times, placeholders=spread)
    assert both["unknown_times_spread"].params == spread
    assert both["unknown_times"].params == {"n": 190, "at": ["08:00"]}
    assert of_data(placeholders={**spread, "n": 180}) == {}
    one = {"n_incidents": 9_000, "share": 1.0, "at": "00:00"}
    assert of_data(unknown_times=times, one_time_of_day=one).keys() == {"one_time_of_day"}


def test_only_categories_that_everyone_may_see_are_named():
    data = {
        "excluded_categories": ["drugs", "weapons", "vice"],
        "excluded_by_policy": ["vice"],
        "patrol_categories": ["rare"],
        "renamed_kinds": [
            {"ended": ["theft"], "began": ["larceny"], "about": "2023-05-01"},
            {"ended": ["rare"], "began": ["theft"], "about": "2023-05-01"},
        ],
        "discovered_weight": 0.5,
    }
    told = of_data(shown={"drugs", "vice", "theft", "larceny", "other"}, **data)
    assert told["patrol_categories_excluded"].params == {"categories": ["drugs", "other"]}
    assert told["categories_excluded_by_policy"].params == {"categories": ["vice"]}
    assert told["patrol_categories_learnt"].params == {"categories": ["other"]}
    assert told["kinds_renamed"].params == {
        "ended": "theft", "began": "larceny", "about": "2023-05-01",
    }  # fmt: skip
    assert not any("rare" in w.message or "weapons" in w.message for w in told.values())
    assert "discovered_incidents_learnt" in told


def test_a_long_list_of_names_ends_with_their_number():
    names = [f"kind {k}" for k in range(MAX_NAMED + 3)]
    told = of_data(shown=names, excluded_categories=names)["patrol_categories_excluded"]
    assert told.params["categories"] == [*names[:MAX_NAMED], "+3"]


@pytest.mark.parametrize(
    ("ends_days_ago", "code"),
    [(0, "partial_delivery"), (1, "delivery_gap"), (GAP_RECALLED_DAYS + 1, None)],
)
def test_a_gap_is_named_by_its_local_days_while_it_bears_on_the_forecast(ends_days_ago, code):
    end = CUTOFF - timedelta(days=ends_days_ago)
    span = [int((end - timedelta(days=3)).timestamp()), int(end.timestamp())]
    found = standing_warnings(record_of(counts={"undelivered_s": [span]}), region_of(), ())
    assert [w.code for w in found] == ([code] if code else [])
    if code == "delivery_gap":
        assert found[0].params == {"first": "2024-01-03", "last": "2024-01-06"}


def test_default_geocodes_are_counted_for_all_and_named_where_their_places_are_known():
    points = [
        {"longitude": -74.06, "latitude": 4.65, "n_incidents": 1_200},
        {"n_incidents": 30},
    ]
    told = of_data(default_geocodes=points)["default_geocodes_excluded"]
    assert told.params == {"n": 1_230, "n_points": 2}
    assert "-74.06" not in told.message
    named = list(places_left_out(record_of(report={"data": {"default_geocodes": points}})))
    assert [w.params["places"] for w in named] == ["-74.06000, 4.65000 (1,200)"]
    assert list(places_left_out(record_of())) == []
