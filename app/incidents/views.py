"""Pages of incidents as GeoJSON, CSV and GeoParquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Any

import orjson
import pandas as pd
from sqlalchemy import Row

from app.core.output.plain_text import in_spreadsheet
from app.core.zones import zone
from app.regions.store import Region

HEADER = ("occurred_at", "occurred_from", "occurred_to", "longitude", "latitude", "category",
          "external_id", "source", "reference", "feed", "updated_at")  # fmt: skip
Rows = Sequence[Row[Any]]


def incidents_geojson(rows: Rows, region: Region, following: str | None) -> bytes:
    """Return a FeatureCollection of points; `next` links to the following page."""
    local = zone(region.timezone)
    features = [
        {
            "type": "Feature",
            "id": row.id,
            "geometry": {"type": "Point", "coordinates": [row.longitude, row.latitude]},
            "properties": {
                **_times(row, local),
                "category": row.category,
                "external_id": row.external_id,
                "source": row.source,
                "reference": row.reference,
                "feed": row.feed,
                "updated_at": _revised(row, local),
            },
        }
        for row in rows
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features, "next": following})


def incidents_csv(rows: Rows, region: Region) -> bytes:
    """Return CSV in local time with offsets, with texts escaped against spreadsheet formulas."""
    local = zone(region.timezone)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        times = _times(row, local)
        texts = (row.category, row.external_id, row.source, row.reference, row.feed)
        words = map(in_spreadsheet, texts)
        when = (times.get(name) for name in HEADER[:3])
        writer.writerow([*when, row.longitude, row.latitude, *words, _revised(row, local)])
    return text.getvalue().encode()


def _times(row: Row[Any], local: tzinfo) -> dict[str, str | None]:
    """Return `occurred_at` of an instant; of an interval `occurred_from` and `occurred_to`."""
    start = row.occurred_at.astimezone(local).isoformat()
    if row.occurred_to is None:
        return {"occurred_at": start}
    end = row.occurred_to.astimezone(local).isoformat()
    return {"occurred_at": None, "occurred_from": start, "occurred_to": end}


def _revised(row: Row[Any], zone: tzinfo) -> str | None:
    return None if row.revised_at is None else str(row.revised_at.astimezone(zone).isoformat())


def incidents_parquet(rows: Rows, region: Region) -> bytes:
    """Return GeoParquet points (WGS 84); times are instants shown in the region's zone."""
    import geopandas as gpd

    instants = [row.occurred_at if row.occurred_to is None else None for row in rows]
    starts = [None if row.occurred_to is None else row.occurred_at for row in rows]
    frame = gpd.GeoDataFrame(
        {
            "id": pd.Series([row.id for row in rows], dtype="int64"),
            "occurred_at": _moments(instants, region),
            "occurred_from": _moments(starts, region),
            "occurred_to": _moments([row.occurred_to for row in rows], region),
            "category": pd.Series([row.category for row in rows], dtype=object),
            "external_id": pd.Series([row.external_id for row in rows], dtype=object),
            "source": pd.Series([row.source for row in rows], dtype=object),
            "reference": pd.Series([row.reference for row in rows], dtype=object),
            "feed": pd.Series([row.feed for row in rows], dtype=object),
            "updated_at": pd.Series([_revised(row, UTC) for row in rows], dtype=object),
        },
        geometry=gpd.points_from_xy(
            [row.longitude for row in rows], [row.latitude for row in rows]
        ),
        crs="EPSG:4326",
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _moments(values: Iterable[Any], region: Region) -> pd.Series[Any]:
    moments = pd.to_datetime(pd.Series([*values], dtype=object), utc=True)
    return moments.dt.tz_convert(region.timezone).dt.as_unit("us")
