"""The cells that the learned selection chooses for the weeks after the data, as GeoJSON."""

from __future__ import annotations

import json
from typing import Any

import shapely

from app.evaluation.backtests.counts import iso
from app.evaluation.contest.execute import Contest
from app.fitting.data import TrainingData
from app.geo.antimeridian import cut
from app.geo.study_area import M2_PER_KM2, shape_in_degrees
from models.base import FitContext, Progress
from models.contest.rules import AREAS_KM2, n_cells
from models.contest.selection import fit_selection


def next_cells(
    data: TrainingData,
    contest: Contest,
    progress: Progress = lambda _share, _message: None,
) -> dict[str, Any]:
    """Return a FeatureCollection of the chosen cells, best first, clipped to the study area.

    Properties: `rank` from 1 on, `expected_count` in 28 days, `area_km2`, and `list_km2`, the smallest of the
    contest's areas whose list has the cell.
    """
    context = FitContext(data.cutoff_s, progress=progress)
    selection = fit_selection(data.incidents, context, shifted_rows=not contest.one_grid)
    cells = shapely.polygons(selection.tiling.corners_m(selection.ids))
    clipped: Any = shapely.intersection(cells, data.area.polygon_m)
    n_listed = n_cells(selection.tiling.cell_km2)
    features = []
    for place, (shape, expected) in enumerate(
        zip(clipped, selection.expected.tolist(), strict=True)
    ):
        degrees = shapely.orient_polygons(cut(shape_in_degrees(shape, data.area.crs)))
        features.append(
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(degrees)),
                "properties": {
                    "rank": place + 1,
                    "expected_count": round(expected, 3),
                    "area_km2": round(float(shape.area) / M2_PER_KM2, 6),
                    "list_km2": AREAS_KM2[int((n_listed <= place).sum())],
                },
            }
        )
    return {
        "type": "FeatureCollection",
        "region": data.region.id,
        "from": iso(data.cutoff_s),
        "features": features,
    }
