"""The presence log as GeoJSON and CSV, and hours of presence by cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import orjson
import shapely
from sqlalchemy import Row

from app.core.output.plain_text import in_spreadsheet
from app.core.zones import zone
from app.regions.store import Region

HEADER = ("id", "from", "to", "activity", "unit", "geometry")
Rows = Sequence[Row[Any]]


def presence_geojson(rows: Rows, region: Region, following: str | None) -> bytes:
    """Return a FeatureCollection of polygons, which may be sent again; `next` links to the next page."""
    features = [
        {
            "type": "Feature",
            "id": row.id,
            "properties": {**_times(row, region), "activity": row.activity, "unit": row.unit},
            "geometry": orjson.loads(shapely.to_geojson(shapely.from_wkb(row.shape))),
        }
        for row in rows
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features, "next": following})


def presence_csv(rows: Rows, region: Region) -> bytes:
    """Return CSV in local time, outlines as GeoJSON, texts escaped against spreadsheet formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        words = map(in_spreadsheet, (row.activity, row.unit))
        geometry = shapely.to_geojson(shapely.from_wkb(row.shape))
        writer.writerow([row.id, *_times(row, region).values(), *words, geometry])
    return text.getvalue().encode()


def _times(row: Row[Any], region: Region) -> dict[str, str]:
    local = zone(region.timezone)
    return {
        "from": row.started_at.astimezone(local).isoformat(),
        "to": row.ended_at.astimezone(local).isoformat(),
    }
