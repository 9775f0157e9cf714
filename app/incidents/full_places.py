"""Find at upload places that look like default geocodes, or like one per precinct."""

from __future__ import annotations

from typing import Any

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from app.data_quality.checks.coordinate_precision import FewPlaces, few_places_of
from app.data_quality.checks.default_geocodes import FullPlace, find_full_places
from app.geo.hour_of_week import local_offset_s
from app.geo.study_area import to_degrees
from app.incidents.column_store import COLUMN_TYPES, columns_of
from app.regions.learning_policy import LearningPolicy
from app.regions.store import Region

SAMPLED = 100_000
CODES = {"heaped_times": "default_geocode_times", "policy": "place_dropped"}
_MERGED = sql.SQL(
    'SELECT time_s, "window", x_m, y_m, category_key FROM merged_incidents'
    " TABLESAMPLE SYSTEM ({}) REPEATABLE (0)"
)


def places_in_doubt(
    connection: Connection, region: Region, crs: str, n_rows: int
) -> tuple[FewPlaces | None, list[dict[str, Any]]]:
    """Return the few places that an upload's incidents share, and its default geocodes.

    Both by the rules of fits; of a default geocode code of the warning, n and place.

    Called in the transaction of a merge, whose rows it reads; of large uploads a sample, whose numbers are
    scaled up.

    Args:
        n_rows: rows that the merge had.
    """
    percent = min(100.0, 100.0 * SAMPLED / max(n_rows, 1))
    columns = columns_of(connection, _MERGED.format(percent), COLUMN_TYPES)
    time_s = columns["time_s"]
    found, _ = find_full_places(
        columns["x_m"],
        columns["y_m"],
        (time_s + local_offset_s(time_s, region.timezone)) // 60 % 1440,
        np.unique(columns["category_key"], return_inverse=True)[1],
        *LearningPolicy.of(region.settings).places_m(crs),
    )
    few = few_places_of(columns["x_m"], columns["y_m"], region.cell_size_m)
    return few, [_counted(place, crs, percent) for place in found if place.is_default]


def _counted(place: FullPlace, crs: str, percent: float) -> dict[str, Any]:
    longitude, latitude = to_degrees(place.x_m, place.y_m, crs)
    return {
        "code": CODES.get(place.reason, "default_geocode"),
        "n": round(place.n_incidents * 100 / percent),
        "longitude": round(float(longitude), 6),
        "latitude": round(float(latitude), 6),
    }
