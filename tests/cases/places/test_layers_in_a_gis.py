"""A saved layer says which region, hour and version it is of (case 42)."""

import io

import geopandas as gpd
import pandas as pd
import pytest

from app.forecasts.hotspots.documents import hotspots_geojson
from app.forecasts.hotspots.selection import HotspotOptions
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from tests.support.services.served import served

__all__ = ["served"]
URL = "/v1/regions/town/forecasts/hotspots"
AT = {"at": "2019-12-31T23:00", "top": 1}


def read(reply, fmt):
    body = io.BytesIO(reply.content)
    if fmt == "csv":
        return pd.read_csv(body)
    return gpd.read_parquet(body) if fmt == "parquet" else gpd.read_file(body)


@pytest.mark.parametrize("fmt", ["geojson", "csv", "parquet"])
@pytest.mark.parametrize("more", [{}, {"category": "KIND"}, {"grid": "h3", "resolution": 8}])
def test_each_row_says_what_it_is_of(served, fmt, more):
    kind = served.data.categories[0] if "category" in more else None
    asked = {**AT, **more, **({"category": kind} if kind else {}), "f": fmt}
    reply = served.client.get(URL, params=asked)
    assert reply.status_code == 200, reply.text
    rows = read(reply, fmt)
    assert set(rows["region"]) == {"town"}
    assert set(rows["model_version"]) == {reply.headers["X-Hotslot-Model-Version"]}
    assert {pd.Timestamp(at) for at in rows["at"]} == {pd.Timestamp("2019-12-31T23:00-05:00")}
    assert set(rows["window"]) == {47}
    if kind:
        assert set(rows["category"]) == {kind}
    if "grid" not in more:
        assert set(rows["cell_size_m"]) == {500}


@pytest.mark.parametrize("dissolve", [False, True])
def test_a_range_and_joined_cells_say_it_too(served, settings, dissolve):
    asked = {"from": "2019-12-31T18:00", "to": "2020-01-01T02:00", "dissolve": dissolve}
    found = served.client.get(URL, params=asked).json()["features"][0]["properties"]
    assert found["at"] == "2019-12-31T18:00:00-05:00"
    assert found["to"] == "2020-01-01T02:00:00-05:00"
    service = ForecastService(served.engine, settings)
    forecast = service.forecast("town", Selector(window=47))
    body = hotspots_geojson(forecast, HotspotOptions(1.0, dissolve=dissolve))
    assert b'"region":"town"' in body.partition(b'"features"')[2]
