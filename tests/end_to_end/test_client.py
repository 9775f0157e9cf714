"""The Python clients against the real application."""

import asyncio

import geopandas as gpd
import httpx
import pandas as pd
import pytest
import shapely
import shapely.geometry

from app.geo.synthetic import synthetic_city
from hotslot_client import (
    AsyncClient,
    Busy,
    Client,
    Conflict,
    Invalid,
    LimitExceeded,
    NoModel,
    NotFound,
    Unreachable,
)

AT = "2019-12-31T23:00"


@pytest.fixture(scope="module")
def client(served):
    opened = Client(retries=1)
    opened.http = served.client
    return opened


def test_forecasts_are_frames(client, served):
    density = client.density("town", at=AT)
    assert isinstance(density, gpd.GeoDataFrame)
    assert density["probability"].sum() == pytest.approx(1, abs=1e-6)
    assert density.attrs["model_version"] == "truth-20191225-44cb9228c0"
    assert len(client.hotspots("town", at=AT, top=5)) == len(density) * 5 // 100
    assert len(client.samples("town", n=7, at=AT, seed=1)) == 7
    assert len(client.series("town", from_="2019-12-30", to="2020-01-06")) == 168
    everywhere = gpd.GeoDataFrame(
        {"name": ["all"]}, geometry=[shapely.box(*density.total_bounds)], crs="EPSG:4326"
    )
    assert client.areas("town", everywhere, at=AT)["probability"][0] == pytest.approx(1, abs=1e-6)
    assert list(client.regions()["id"]) == ["town"]


def test_scores_keep_the_rows(client):
    rows = pd.DataFrame(
        {
            "occurred_at": pd.to_datetime(["2019-12-31T23:10Z", "2019-12-30T10:00Z"]),
            "longitude": [-74.06, 0.0],
            "latitude": [4.66, 0.5],
        },
        index=[7, 9],
    )
    scores = client.score("town", rows)
    assert list(scores.index) == [7, 9]
    assert list(scores["inside_study_area"]) == [True, False]


def test_uploads_and_runs(client):
    rows = pd.DataFrame(
        {
            "occurred_at": ["2019-06-01T10:00:00Z"],
            "longitude": [-74.06],
            "latitude": [4.66],
            "category": ["theft"],
        }
    )
    assert client.upload("town", rows, "client-1") == client.upload("town", rows, "client-1")
    assert client.train("town", "uniform", wait_s=0.1)["status"] == "queued"


def test_files_are_uploaded_and_incidents_listed_page_by_page(client, served, tmp_path):
    path = tmp_path / "more.csv"
    lines = [f"2019-06-01T{hour:02}:30:00Z,-74.06,4.66,arson" for hour in range(24)]
    path.write_text("\n".join(["occurred_at,longitude,latitude,category", *lines]))
    assert client.upload("town", path)["accepted"] == 24
    found = client.incidents("town", category="arson", page_size=10)
    assert len(found) == 24
    assert list(found.columns[:1]) == ["geometry"]
    assert (found["category"] == "arson").all()
    assert found["occurred_at"].is_monotonic_increasing
    assert len(client.incidents("town", 15, page_size=10)) == 15
    assert client.incidents("town", category="piracy").empty


def test_outcomes_and_backtests(client):
    outcomes = client.outcomes("town", from_="2019-12-26", to="2019-12-28")
    assert outcomes.attrs["incidents"] >= outcomes.attrs["hits"]
    assert not outcomes.attrs["in_sample"]
    run = client.backtest("town", ["uniform", "pooled-kde"], n_origins=1)
    assert run["status"] == "queued"


def test_errors_carry_the_problem(client):
    with pytest.raises(NotFound):
        client.density("nowhere", at=AT)
    with pytest.raises(Invalid) as refused:
        client.samples("town", n=10_001, at=AT)
    assert isinstance(refused.value, LimitExceeded)
    assert (refused.value.field, refused.value.limit, refused.value.asked) == ("n", 10_000, 10_001)
    with pytest.raises(Invalid) as swapped:
        client.hotspots("town", at=AT, bbox=(4.6, -74.1, 4.7, -74.0))
    assert (swapped.value.code, swapped.value.field) == ("bbox_order", "bbox")


def test_a_region_of_ones_own_has_no_model_yet(client):
    outline = shapely.geometry.shape(synthetic_city().area.to_geojson())
    whole = gpd.GeoDataFrame(geometry=[outline], crs="EPSG:4326")
    made = client.create_region("other", "America/Bogota", whole, name="Other", cell_size_m=400)
    assert (made["name"], made["cell_size_m"], made["warnings"]) == ("Other", 400, [])
    assert client.region("other")["boundary"]["type"] in ("Polygon", "MultiPolygon")
    with pytest.raises(NoModel):
        client.density("other", at=AT)
    with pytest.raises(Conflict) as twice:
        client.create_region("other", "America/Bogota")
    assert not isinstance(twice.value, NoModel)


def test_pages_are_fetched_as_they_are_needed(client, served):
    first = next(iter(client.incident_pages("town", 7)))
    assert len(first) == 7
    assert "next" in first.attrs
    datetime = "2019-03-01T00:00Z/2019-03-08T00:00Z"
    found = list(client.incident_pages("town", 40, datetime=datetime))
    assert len(found) > 2
    assert {len(page) for page in found[:-1]} == {40}
    together = pd.concat(found, ignore_index=True)
    assert together.equals(pd.DataFrame(client.incidents("town", datetime=datetime)))
    path = "/v1/regions/town/incidents"
    pages = list(client.pages(path, datetime=datetime, limit=40))
    assert [len(page["features"]) for page in pages] == [len(page) for page in found]


def test_calls_wait_for_replies_together(address, client):
    datetime = "2019-03-01T00:00Z/2019-03-08T00:00Z"

    async def asked():
        async with AsyncClient(address) as hotslot:
            hours = [f"2019-12-31T{hour:02}:00" for hour in (1, 9, 17)]
            frames = await asyncio.gather(*(hotslot.density("town", at=at) for at in hours))
            with pytest.raises(NotFound):
                await hotslot.density("nowhere", at=AT)
            run = await hotslot.train("town", "uniform", wait_s=0.1)
            pages = [page async for page in hotslot.incident_pages("town", 40, datetime=datetime)]
            return hours, frames, run, pages

    hours, frames, run, pages = asyncio.run(asked())
    for at, frame in zip(hours, frames, strict=True):
        assert frame.equals(client.density("town", at=at))
    assert run["status"] == "queued"
    assert len(pd.concat(pages)) == len(client.incidents("town", datetime=datetime))


def test_busy_services_are_asked_again_and_keys_are_sent():
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["X-API-Key"])
        headers = {"Retry-After": "0"}
        if len(asked) < 3:
            return httpx.Response(
                503, headers=headers, json={"detail": "busy", "code": "overloaded"}
            )
        return httpx.Response(200, json={"regions": []})

    with Client(api_key="k", transport=httpx.MockTransport(answer)) as client:
        assert client.regions().empty
    assert asked == ["k"] * 3
    asked.clear()
    impatient = Client(api_key="k", retries=1, transport=httpx.MockTransport(answer))
    with impatient, pytest.raises(Busy):
        impatient.regions()


def test_nobody_there():
    with Client("http://127.0.0.1:1", retries=0) as client, pytest.raises(Unreachable):
        client.regions()


def test_intervals_come_back_as_they_were_sent(client):
    rows = pd.DataFrame(
        {
            "occurred_from": ["2019-06-02T08:00:00Z", "2019-06-03"],
            "occurred_to": ["2019-06-02T18:00:00Z", None],
            "longitude": [-74.06, -74.07],
            "latitude": [4.66, 4.67],
            "category": ["mischief", "mischief"],
        }
    )
    assert client.upload("town", rows)["accepted"] == 1
    sent = client.upload("town", rows, date_only="interval")
    assert (sent["accepted"], sent["duplicates"]) == (1, 1)
    found = client.incidents("town", category="mischief")
    assert found["occurred_at"].isna().all()
    assert found["occurred_to"].tolist() == [
        "2019-06-02T13:00:00-05:00",
        "2019-06-04T00:00:00-05:00",
    ]
    assert client.upload("town", found)["duplicates"] == 2
