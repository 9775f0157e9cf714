"""The calls of a hotslot service."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import httpx
import pandas as pd

from hotslot_client.connection import Connection
from hotslot_client.frames import to_frame, to_params, to_text

FINISHED = ("succeeded", "failed", "cancelled")
POLL_S = 1.0


class Client(Connection):
    """Connection to one service.

    The metadata of a reply (model version, cutoff, warnings, ...) is in the frame's `attrs`.
    Forecasts take the selectors of the API: `at`, `window`, `from_` with `to`, `category`,
    `model`, `as_of`, `state`, `bbox`, `cell_size_m`, `grid`, `resolution`.

    Args:
        base_url: URL of the service.
        api_key: key to send as `X-API-Key`.
        timeout_s: time limit of one request.
        retries: attempts after a 429 or 503 (waiting for `Retry-After`, at most 30 s) and after a
            failed connection.
        transport: replacement for the network, such as `httpx.WSGITransport`.

    Every call may raise `ClientError`; the package's documentation lists its subclasses.
    """

    def regions(self) -> pd.DataFrame:
        """Return all regions, one per row."""
        return pd.DataFrame(self.request("GET", "/v1/regions").json()["regions"])

    def region(self, region: str) -> dict[str, Any]:
        """Return a region: its counts, champion version and boundary."""
        return dict(self.request("GET", f"/v1/regions/{region}").json())

    def density(self, region: str, **selectors: Any) -> gpd.GeoDataFrame:
        """Return every cell with probability, density, expected count and interval."""
        params = {**to_params(selectors), "f": "parquet"}
        reply = self.request("GET", f"/v1/regions/{region}/forecasts/density", params=params)
        return gpd.read_parquet(io.BytesIO(reply.content))

    def hotspots(self, region: str, **selectors: Any) -> gpd.GeoDataFrame:
        """Return the best cells: `top` percent, `n_cells` or `area_km2`; `inside="beats:D11"`, ..."""
        return self._features(region, "hotspots", selectors)

    def zones(
        self, region: str, n: int = 5, max_km2: float = 0.25, **selectors: Any
    ) -> gpd.GeoDataFrame:
        """Return at most `n` connected zones of `max_km2` together; `within="beats"`, ..."""
        return self._features(region, "zones", {"n": n, "max_km2": max_km2, **selectors})

    def priced_zones(
        self, region: str, zones: Sequence[Sequence[int | str]], **selectors: Any
    ) -> gpd.GeoDataFrame:
        """Return zones given as lists of cells; `attrs["price"]` says what they lose against the best."""
        path = f"/v1/regions/{region}/forecasts/zones"
        body = {"zones": [list(zone) for zone in zones]}
        reply = self.request("POST", path, params=to_params(selectors), json=body)
        return to_frame(reply.json())

    def explain(self, region: str, cells: int | Sequence[int], **selectors: Any) -> dict[str, Any]:
        """Return why the forecast of a cell, or of several together, is what it is: factors and words."""
        chosen = [cells] if isinstance(cells, int) else list(cells)
        params = to_params({"cells": ",".join(map(str, chosen)), **selectors})
        reply = self.request("GET", f"/v1/regions/{region}/forecasts/explain", params=params)
        found: dict[str, Any] = reply.json()
        return found

    def streets(self, region: str, top: float = 5.0, **selectors: Any) -> gpd.GeoDataFrame:
        """Return street segments by expected incidents per km, `top` percent of the length."""
        return self._features(region, "streets", {"top": top, **selectors})

    def samples(self, region: str, n: int = 1000, **selectors: Any) -> gpd.GeoDataFrame:
        """Draw points from the forecast; equal seeds (`seed`) give equal points."""
        return self._features(region, "samples", {"n": n, **selectors})

    def series(self, region: str, **selectors: Any) -> pd.DataFrame:
        """Return expected incidents with interval by hour, indexed by local time (`at`)."""
        params = to_params(selectors)
        body = self.request("GET", f"/v1/regions/{region}/forecasts/series", params=params).json()
        frame = pd.DataFrame(body.pop("slots")).set_index("at")
        frame.attrs = body
        return frame

    def areas(
        self, region: str, areas: gpd.GeoDataFrame, buffer_m: float = 50.0, **selectors: Any
    ) -> gpd.GeoDataFrame:
        """Return expected counts of areas; lines and points are buffered by `buffer_m`."""
        given = json.loads(areas.to_crs("EPSG:4326").to_json())
        body = {**to_params(selectors), "areas": given, "buffer_m": buffer_m}
        reply = self.request("POST", f"/v1/regions/{region}/forecasts/areas", json=body)
        return to_frame(reply.json())

    def evaluate(
        self,
        region: str,
        places: gpd.GeoDataFrame | Sequence[int],
        start: Any = None,
        end: Any = None,
        *,
        periods: Sequence[tuple[Any, Any]] = (),
        **more: Any,
    ) -> dict[str, Any]:
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
        return dict(self.request("POST", f"/v1/regions/{region}/evaluations", json=body).json())

    def layer(self, region: str, name: str) -> gpd.GeoDataFrame:
        """Return the areas of a layer of the region, such as `neighbourhoods`."""
        return to_frame(self.request("GET", f"/v1/regions/{region}/layers/{name}").json())

    def layer_areas(self, region: str, layer: str, **selectors: Any) -> gpd.GeoDataFrame:
        """Return expected counts of the areas of a layer of the region."""
        return self._features(region, "areas", {"layer": layer, **selectors})

    def score(
        self, region: str, incidents: pd.DataFrame, model: str | None = None, as_of: Any = None
    ) -> pd.DataFrame:
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
        found = self.request("POST", f"/v1/regions/{region}/forecasts/score", json=body).json()
        frame = pd.DataFrame(found.pop("scores"), index=incidents.index)
        frame.attrs = found
        return frame

    def outcomes(self, region: str, **selectors: Any) -> gpd.GeoDataFrame:
        """Compare the cells that past forecasts flagged (`top` percent) with what happened."""
        return self._features(region, "outcomes", selectors)

    def incidents(
        self, region: str, n: int | None = None, page_size: int = 10_000, **filters: Any
    ) -> gpd.GeoDataFrame:
        """List at most `n` incidents in order of time; filter by `bbox`, `datetime`, `category`.

        Each has `occurred_at`, or `occurred_from` and `occurred_to` if it occurred within that
        interval.
        """
        params: dict[str, Any] = {**to_params(filters), "limit": min(page_size, n or page_size)}
        path, features = f"/v1/regions/{region}/incidents", []
        while True:
            page = self.request("GET", path, params=params).json()
            features += page["features"]
            following = page.get("next")
            if following is None or (n is not None and len(features) >= n):
                return to_frame({"features": features[:n]})
            params = {**params, "cursor": httpx.URL(following).params["cursor"]}

    def record_presence(self, region: str, rows: pd.DataFrame) -> dict[str, Any]:
        """Store where somebody was: `from`, `to`, `activity`, perhaps `unit`, and one of `cell`, `area`.

        A GeoDataFrame gives polygons instead. It needs the role `ingester` or `analyst`.
        """
        if isinstance(rows, gpd.GeoDataFrame):
            content, kind = rows.to_crs("EPSG:4326").to_json(na="drop"), "application/geo+json"
        else:
            content, kind = rows.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S%z"), "text/csv"
        headers = {"Content-Type": kind}
        path = f"/v1/regions/{region}/presence"
        return dict(self.request("POST", path, content=content.encode(), headers=headers).json())

    def presence(self, region: str, **filters: Any) -> gpd.GeoDataFrame:
        """List the presence log: `from_`, `to`, `unit`, `limit`. It needs the role `analyst`."""
        path = f"/v1/regions/{region}/presence"
        return to_frame(self.request("GET", path, params=to_params(filters)).json())

    def register(self, region: str, limit: int = 100) -> dict[str, Any]:
        """Return what was filed before its day, the newest first, and what it caught (`record`)."""
        path, params = f"/v1/regions/{region}/register", to_params({"limit": limit})
        return dict(self.request("GET", path, params=params).json())

    def hour_of_week(
        self, region: str, category: str | Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Count stored incidents by hour of the local week: exact, by interval, of unknown time.

        Rows are hours from Monday 00:00. It needs the role `analyst`.
        """
        path = f"/v1/regions/{region}/hour-of-week"
        found = self.request("GET", path, params=to_params({"category": category})).json()
        return pd.DataFrame({name: found[name] for name in ("exact", "interval", "placeholder")})

    def upload(
        self,
        region: str,
        incidents: pd.DataFrame | Path,
        idempotency_key: str | None = None,
        *,
        date_only: str | None = None,
    ) -> dict[str, Any]:
        """Upload a frame or CSV file; received = accepted + duplicates + rejected.

        Rows have `occurred_at`, or `occurred_from` and `occurred_to`. With `date_only="interval"` a
        date without a time is an interval of that local day.
        """
        headers = {"Content-Type": "text/csv"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if isinstance(incidents, Path):
            content = incidents.read_bytes()
        else:
            content = incidents.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S%z").encode()
        path = f"/v1/regions/{region}/incidents"
        params = to_params({"date_only": date_only})
        reply = self.request("POST", path, content=content, headers=headers, params=params)
        return dict(reply.json())

    def train(
        self, region: str, model: str = "stack", *, wait_s: float = 0.0, **options: Any
    ) -> dict[str, Any]:
        """Start a training run (`seed`, `until`, `categories`); wait up to `wait_s` for its end."""
        return self._run(region, "training-runs", {"model": model, **options}, wait_s)

    def backtest(
        self, region: str, models: Sequence[str], *, wait_s: float = 0.0, **options: Any
    ) -> dict[str, Any]:
        """Start a backtest (`n_origins`, `seed`, ...); its end has the `result`."""
        return self._run(region, "backtests", {"models": list(models), **options}, wait_s)

    def worth(self, region: str, delay_days: int | None = None) -> dict[str, Any]:
        """Return what the forecast is worth over last year's list, here and in cities like this one."""
        params = to_params({"delay_days": delay_days})
        return dict(self.request("GET", f"/v1/regions/{region}/worth", params=params).json())

    def _run(
        self, region: str, kind: str, options: Mapping[str, Any], wait_s: float
    ) -> dict[str, Any]:
        path = f"/v1/regions/{region}/{kind}"
        run = dict(self.request("POST", path, json=to_params(options)).json())
        end = time.monotonic() + wait_s
        while run["status"] not in FINISHED and time.monotonic() < end:
            time.sleep(min(POLL_S, wait_s))
            run = dict(self.request("GET", f"{path}/{run['id']}").json())
        return run

    def _features(self, region: str, what: str, selectors: Mapping[str, Any]) -> gpd.GeoDataFrame:
        path = f"/v1/regions/{region}/forecasts/{what}"
        return to_frame(self.request("GET", path, params=to_params(selectors)).json())
