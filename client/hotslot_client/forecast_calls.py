"""Calls for forecasts, and what they are worth."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import pandas as pd

from hotslot_client.asking import Asking
from hotslot_client.frames import to_frame, to_params, to_text
from hotslot_client.steps import Call, Steps


class ForecastCalls(Asking):
    """What a service expects, and how that compares with what happened."""

    @Call
    def density(self, /, region: str, **selectors: Any) -> Steps[gpd.GeoDataFrame]:
        """Return every cell with probability, density, expected count and interval."""
        path, params = f"/v1/regions/{region}/forecasts/density", to_params(selectors)
        reply = yield from self._ask("GET", path, params={**params, "f": "parquet"})
        return gpd.read_parquet(io.BytesIO(reply.content))

    @Call
    def hotspots(self, /, region: str, **selectors: Any) -> Steps[gpd.GeoDataFrame]:
        """Return the best cells: `top` percent, `n_cells` or `area_km2`; `inside="beats:D11"`, ..."""
        return (yield from self._forecast(region, "hotspots", selectors))

    @Call
    def zones(
        self, /, region: str, n: int = 5, max_km2: float = 0.25, **selectors: Any
    ) -> Steps[gpd.GeoDataFrame]:
        """Return at most `n` connected zones of `max_km2` together; `within="beats"`, ..."""
        chosen = {"n": n, "max_km2": max_km2, **selectors}
        return (yield from self._forecast(region, "zones", chosen))

    @Call
    def priced_zones(
        self, /, region: str, zones: Sequence[Sequence[int | str]], **selectors: Any
    ) -> Steps[gpd.GeoDataFrame]:
        """Return zones given as lists of cells; `attrs["price"]` says what they lose against the best."""
        path = f"/v1/regions/{region}/forecasts/zones"
        body = {"zones": [list(zone) for zone in zones]}
        return to_frame((yield from self._post(path, body, selectors, idempotent=True)))

    @Call
    def explain(
        self, /, region: str, cells: int | Sequence[int], **selectors: Any
    ) -> Steps[dict[str, Any]]:
        """Return why the forecast of a cell, or of several together, is what it is: factors and words."""
        chosen = [cells] if isinstance(cells, int) else list(cells)
        params = {"cells": ",".join(map(str, chosen)), **selectors}
        return (yield from self._get(f"/v1/regions/{region}/forecasts/explain", params))

    @Call
    def streets(
        self, /, region: str, top: float = 5.0, **selectors: Any
    ) -> Steps[gpd.GeoDataFrame]:
        """Return street segments by expected incidents per km, `top` percent of the length."""
        return (yield from self._forecast(region, "streets", {"top": top, **selectors}))

    @Call
    def samples(self, /, region: str, n: int = 1000, **selectors: Any) -> Steps[gpd.GeoDataFrame]:
        """Draw points from the forecast; equal seeds (`seed`) give equal points."""
        return (yield from self._forecast(region, "samples", {"n": n, **selectors}))

    @Call
    def series(self, /, region: str, **selectors: Any) -> Steps[pd.DataFrame]:
        """Return expected incidents with interval by hour, indexed by local time (`at`)."""
        body = yield from self._get(f"/v1/regions/{region}/forecasts/series", selectors)
        frame = pd.DataFrame(body.pop("slots")).set_index("at")
        frame.attrs.update(body)
        return frame

    @Call
    def areas(
        self, /, region: str, areas: gpd.GeoDataFrame, buffer_m: float = 50.0, **selectors: Any
    ) -> Steps[gpd.GeoDataFrame]:
        """Return expected counts of areas; lines and points are buffered by `buffer_m`."""
        given = json.loads(areas.to_crs("EPSG:4326").to_json())
        body = {**to_params(selectors), "areas": given, "buffer_m": buffer_m}
        path = f"/v1/regions/{region}/forecasts/areas"
        return to_frame((yield from self._post(path, body, idempotent=True)))

    @Call
    def layer_areas(self, /, region: str, layer: str, **selectors: Any) -> Steps[gpd.GeoDataFrame]:
        """Return expected counts of the areas of a layer of the region."""
        return (yield from self._forecast(region, "areas", {"layer": layer, **selectors}))

    @Call
    def score(
        self, region: str, incidents: pd.DataFrame, model: str | None = None, as_of: Any = None
    ) -> Steps[pd.DataFrame]:
        """Score rows: log density and percentile, same index.

        Args:
            incidents: longitude, latitude, and occurred_at or, for intervals, occurred_from and occurred_to;
                category where it is to be scored by its kind.
        """
        times = [str(name) for name in incidents if str(name).startswith("occurred_")]
        columns = [*times, "longitude", "latitude"]
        columns += ["category"] if "category" in incidents else []
        rows = [
            {
                name: to_text(value) if name in times else value
                for name, value in row.items()
                if name not in times or pd.notna(value)
            }
            for row in incidents[columns].to_dict("records")
        ]
        body = {"incidents": rows, **to_params({"model": model, "as_of": as_of})}
        path = f"/v1/regions/{region}/forecasts/score"
        found = yield from self._post(path, body, idempotent=True)
        frame = pd.DataFrame(found.pop("scores"), index=incidents.index)
        frame.attrs.update(found)
        return frame

    @Call
    def outcomes(self, /, region: str, **selectors: Any) -> Steps[gpd.GeoDataFrame]:
        """Compare the cells that past forecasts flagged (`top` percent) with what happened."""
        return (yield from self._forecast(region, "outcomes", selectors))

    @Call
    def evaluate(
        self,
        /,
        region: str,
        places: gpd.GeoDataFrame | Sequence[int],
        start: Any = None,
        end: Any = None,
        *,
        periods: Sequence[tuple[Any, Any]] = (),
        **more: Any,
    ) -> Steps[dict[str, Any]]:
        """Judge polygons, or ids of cells, on past periods; needs a key that may list incidents.

        Args:
            start, end: the period, or `periods` for several; naive times are the region's.
            more: `category`, `model`.
        """
        body: dict[str, Any] = to_params({**more, "from": start, "to": end})
        if periods:
            body["periods"] = [{"from": to_text(a), "to": to_text(b)} for a, b in periods]
        if isinstance(places, gpd.GeoDataFrame):
            body["areas"] = json.loads(places.to_crs("EPSG:4326").to_json())
        else:
            body["cells"] = [int(one) for one in places]
        path = f"/v1/regions/{region}/evaluations"
        return (yield from self._post(path, body, idempotent=True))

    @Call
    def register(self, region: str, limit: int = 100) -> Steps[dict[str, Any]]:
        """Return what was filed before its day, the newest first, and what it caught (`record`)."""
        return (yield from self._get(f"/v1/regions/{region}/register", {"limit": limit}))

    @Call
    def worth(self, region: str, delay_days: int | None = None) -> Steps[dict[str, Any]]:
        """Return what the forecast is worth over last year's list, here and in cities like this one."""
        return (yield from self._get(f"/v1/regions/{region}/worth", {"delay_days": delay_days}))
