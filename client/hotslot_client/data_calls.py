"""Calls for regions, their data and their runs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from hotslot_client.asking import Asking
from hotslot_client.frames import to_frame, to_params
from hotslot_client.steps import Call, Pages, Steps, Wait

FINISHED = ("succeeded", "failed", "cancelled")
POLL_S = 1.0
TIMES = "%Y-%m-%dT%H:%M:%S%z"


class DataCalls(Asking):
    """What a service holds, and what it is asked to make of it."""

    @Call
    def regions(self) -> Steps[pd.DataFrame]:
        """Return all regions, one per row."""
        return pd.DataFrame((yield from self._get("/v1/regions"))["regions"])

    @Call
    def region(self, region: str) -> Steps[dict[str, Any]]:
        """Return a region: its counts, champion version and boundary."""
        return (yield from self._get(f"/v1/regions/{region}"))

    @Call
    def create_region(
        self,
        /,
        region: str,
        timezone: str,
        boundary: gpd.GeoDataFrame | None = None,
        **more: Any,
    ) -> Steps[dict[str, Any]]:
        """Add a region: its id, IANA time zone and polygons. It needs the role `admin`.

        Args:
            boundary: without it, the incidents say where the region is.
            more: `name`, `cell_size_m`.
        """
        body = {"id": region, "timezone": timezone, **more}
        if boundary is not None:
            body["boundary"] = json.loads(boundary.to_crs("EPSG:4326").geometry.to_json())
        return (yield from self._post("/v1/regions", body))

    @Call
    def layer(self, region: str, name: str) -> Steps[gpd.GeoDataFrame]:
        """Return the areas of a layer of the region, such as `neighbourhoods`."""
        return to_frame((yield from self._get(f"/v1/regions/{region}/layers/{name}")))

    @Call
    def incidents(
        self, /, region: str, n: int | None = None, page_size: int = 10_000, **filters: Any
    ) -> Steps[gpd.GeoDataFrame]:
        """List at most `n` incidents in order of time; filter by `bbox`, `datetime`, `category`.

        Each has `occurred_at`, or `occurred_from` and `occurred_to` if it occurred within that
        interval.
        """
        params = {**filters, "limit": min(page_size, n or page_size)}
        pages = self._pages(f"/v1/regions/{region}/incidents", params, dict)
        features: list[Any] = []
        following: Any = None
        while True:
            page, following = yield from pages.page(following)
            features += page["features"]
            if following is None or (n is not None and len(features) >= n):
                return to_frame({"features": features[:n]})

    def incident_pages(
        self, region: str, page_size: int = 10_000, **filters: Any
    ) -> Pages[gpd.GeoDataFrame]:
        """Return pages of incidents in order of time, for more than fit into memory at once."""
        params = {**filters, "limit": page_size}
        return self._pages(f"/v1/regions/{region}/incidents", params, to_frame)

    @Call
    def record_presence(self, region: str, rows: pd.DataFrame) -> Steps[dict[str, Any]]:
        """Store where somebody was: `from`, `to`, `activity`, perhaps `unit`, and one of `cell`, `area`.

        A GeoDataFrame gives polygons instead. It needs the role `ingester` or `analyst`.
        """
        if isinstance(rows, gpd.GeoDataFrame):
            content, kind = rows.to_crs("EPSG:4326").to_json(na="drop"), "application/geo+json"
        else:
            content, kind = rows.to_csv(index=False, date_format=TIMES), "text/csv"
        path, headers = f"/v1/regions/{region}/presence", {"Content-Type": kind}
        # The service recognises rows that it has.
        reply = yield from self._ask(
            "POST", path, content=content.encode(), headers=headers, idempotent=True
        )
        return dict(reply.json())

    @Call
    def presence(self, /, region: str, **filters: Any) -> Steps[gpd.GeoDataFrame]:
        """List the presence log: `from_`, `to`, `unit`, `limit`. It needs the role `analyst`."""
        return to_frame((yield from self._get(f"/v1/regions/{region}/presence", filters)))

    @Call
    def hour_of_week(
        self, region: str, category: str | Sequence[str] | None = None
    ) -> Steps[pd.DataFrame]:
        """Count stored incidents by hour of the local week: exact, by interval, of unknown time.

        Rows are hours from Monday 00:00. It needs the role `analyst`.
        """
        path = f"/v1/regions/{region}/hour-of-week"
        found = yield from self._get(path, {"category": category})
        return pd.DataFrame({name: found[name] for name in ("exact", "interval", "placeholder")})

    @Call
    def upload(
        self,
        region: str,
        incidents: pd.DataFrame | Path,
        idempotency_key: str | None = None,
        *,
        date_only: str | None = None,
    ) -> Steps[dict[str, Any]]:
        """Upload a frame or CSV file; received = accepted + duplicates + rejected.

        Rows have `occurred_at`, or `occurred_from` and `occurred_to`. With `date_only="interval"` a
        date without a time is an interval of that local day. Without an `idempotency_key` the client makes
        one for each call, so that a repeated request is stored, and counted, once.
        """
        if isinstance(incidents, Path):
            content = incidents.read_bytes()
        else:
            content = incidents.to_csv(index=False, date_format=TIMES).encode()
        key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
        reply = yield from self._ask(
            "POST",
            f"/v1/regions/{region}/incidents",
            content=content,
            headers={"Content-Type": "text/csv", "Idempotency-Key": key},
            params=to_params({"date_only": date_only}),
            idempotent=True,
        )
        return dict(reply.json())

    @Call
    def train(
        self, /, region: str, model: str = "stack", *, wait_s: float = 0.0, **options: Any
    ) -> Steps[dict[str, Any]]:
        """Start a training run (`seed`, `until`, `categories`); wait up to `wait_s` for its end."""
        return (yield from self._run(region, "training-runs", {"model": model, **options}, wait_s))

    @Call
    def backtest(
        self, /, region: str, models: Sequence[str], *, wait_s: float = 0.0, **options: Any
    ) -> Steps[dict[str, Any]]:
        """Start a backtest (`n_origins`, `seed`, ...); its end has the `result`."""
        chosen = {"models": list(models), **options}
        return (yield from self._run(region, "backtests", chosen, wait_s))

    def _run(
        self, region: str, kind: str, options: Mapping[str, Any], wait_s: float
    ) -> Steps[dict[str, Any]]:
        path = f"/v1/regions/{region}/{kind}"
        run = yield from self._post(path, to_params(options))
        end = time.monotonic() + wait_s
        while run["status"] not in FINISHED and time.monotonic() < end:
            yield Wait(min(POLL_S, wait_s))
            run = yield from self._get(f"{path}/{run['id']}")
        return run
