"""Parts drawn out of labelled incidents hold the incidents of their label."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import shape

from app.geo.neighbourhood_outlines import parts_of_labels


def test_parts_hold_their_incidents_and_do_not_overlap():
    random = np.random.default_rng(1)
    longitude = random.uniform(-79.45, -79.35, 4000)
    latitude = random.uniform(43.65, 43.72, 4000)
    label = np.where(longitude < -79.4, "West Side", np.where(latitude > 43.69, "Hill", "Dock"))
    # One wrong label in four thousand must not become an island of its own.
    label[0] = "Dock" if label[0] != "Dock" else "Hill"
    made = parts_of_labels(longitude, latitude, label)
    shapes = {f["properties"]["name"]: shape(f["geometry"]) for f in made["features"]}
    assert set(shapes) == {"West Side", "Hill", "Dock"}
    for name, drawn in shapes.items():
        assert drawn.geom_type == "Polygon"
        mine = label == name
        held = shapely.contains_xy(drawn, longitude[mine], latitude[mine])
        assert held.mean() > 0.97
    total = sum(s.area for s in shapes.values())
    assert shapely.union_all(list(shapes.values())).area > 0.999 * total
