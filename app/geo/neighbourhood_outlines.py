"""Derive outlines of named parts of a city from incidents labelled with their part."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from app.geo.antimeridian import cut, middle_longitude
from app.geo.study_area import choose_crs, derive_study_area, shape_in_degrees, to_metres

PLACE_M = 50.0
SIMPLIFIED_M = 60.0
MIN_PIECE_M2 = 50_000.0
DEGREE_STEP = 1e-5


def parts_of_labels(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64], label: NDArray[Any]
) -> dict[str, Any]:
    """Outline as GeoJSON (WGS 84) the area nearest to each label's incidents.

    Every square of 50 m takes its commonest label; the Voronoi cells of squares with one label form a
    part. Borders run between incidents, so they only approximate the true ones.

    Args:
        longitude, latitude: (n,) degrees.
        label: (n,) names. The study area derived from the incidents clips the parts.
    """
    crs = choose_crs(middle_longitude(longitude), float(np.median(latitude)))
    column, row = np.round(np.array(to_metres(longitude, latitude, crs)) / PLACE_M)
    counted = pd.DataFrame({"x": column, "y": row, "label": label}).value_counts(sort=False)
    places = counted.reset_index().sort_values("count", kind="stable")
    places = places.drop_duplicates(["x", "y"], keep="last")
    names, part = np.unique(places["label"].to_numpy(str), return_inverse=True)
    at_m = places[["x", "y"]].to_numpy(np.float64) * PLACE_M
    points = np.asarray(shapely.points(at_m))
    cells = _voronoi(points)
    joined = [shapely.union_all(cells[part == i]) for i in range(len(names))]
    drawn = shapely.coverage_simplify([_without_specks(p) for p in joined], SIMPLIFIED_M)
    area_m = derive_study_area(longitude, latitude, crs).polygon_m
    shapes = shapely.intersection(drawn, area_m)
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": str(name)},
                "geometry": _geometry(shape_m, crs),
            }
            for name, shape_m in zip(names, shapes, strict=True)
            if not shape_m.is_empty
        ],
    }


def _geometry(shape_m: Any, crs: str) -> dict[str, Any]:
    degrees = cut(shape_in_degrees(shape_m, crs))
    found: dict[str, Any] = json.loads(
        shapely.to_geojson(shapely.set_precision(degrees, DEGREE_STEP))
    )
    return found


def _voronoi(points: NDArray[Any]) -> NDArray[Any]:
    """Return (n,) the cell of each point, in the points' order."""
    return shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), ordered=True))


def _without_specks(part: Any) -> Any:
    """Drop tiny pieces, which are single mislabelled places; at least one piece remains."""
    pieces = shapely.get_parts(part)
    area = shapely.area(pieces)
    return shapely.union_all(pieces[area >= min(MIN_PIECE_M2, area.max())])
