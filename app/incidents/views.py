"""Pages of incidents as GeoJSON, CSV and GeoParquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import orjson
import pandas as pd
from sqlalchemy import Row

from app.core.plain_text import in_spreadsheet
from app.core.zones import zone
from app.regions.store import Region

HEADER = ("occurred_at", "longitude", "latitude", "category", "external_id", "source")
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
                "occurred_at": row.occurred_at.astimezone(local).isoformat(),
                "category": row.category,
                "external_id": row.external_id,
                "source": row.source,
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
        at = row.occurred_at.astimezone(local).isoformat()
        words = map(in_spreadsheet, (row.category, row.external_id, row.source))
        writer.writerow([at, row.longitude, row.latitude, *words])
    return text.getvalue().encode()


def incidents_parquet(rows: Rows, region: Region) -> bytes:
    """Return GeoParquet points (WGS 84); times are instants shown in the region's zone."""
    import geopandas as gpd

    moments = pd.to_datetime(pd.Series([row.occurred_at for row in rows], dtype=object), utc=True)
    frame = gpd.GeoDataFrame(
        {
            "id": pd.Series([row.id for row in rows], dtype="int64"),
            "occurred_at": moments.dt.tz_convert(region.timezone).dt.as_unit("us"),
            "category": pd.Series([row.category for row in rows], dtype=object),
            "external_id": pd.Series([row.external_id for row in rows], dtype=object),
            "source": pd.Series([row.source for row in rows], dtype=object),
        },
        geometry=gpd.points_from_xy(
            [row.longitude for row in rows], [row.latitude for row in rows]
        ),
        crs="EPSG:4326",
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
