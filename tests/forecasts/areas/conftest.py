"""A layer of areas that the served region has."""

import json

import numpy as np
import pytest
import shapely

from app.geo.study_area import shape_in_degrees


@pytest.fixture(scope="module")
def beats(served):
    """Seven areas over all but the north of the city, with borders through cells; metres."""
    west, south, east, north = served.data.area.polygon_m.bounds
    rng = np.random.default_rng(8)
    top = south + 0.7 * (north - south)
    places, ground = (
        rng.uniform((west, south), (east, top), (7, 2)),
        shapely.box(west, south, east, top),
    )
    whole = shapely.voronoi_polygons(shapely.multipoints(places), extend_to=ground)
    shapes_m = [shapely.intersection(part, ground) for part in shapely.get_parts(whole)]
    features = [
        {
            "type": "Feature",
            "properties": {"beat": f"B{i}"},
            "geometry": shapely.geometry.mapping(shape_in_degrees(one, served.grid.crs)),
        }
        for i, one in enumerate(shapes_m)
    ]
    reply = served.client.put(
        "/v1/regions/town/layers/beats",
        content=json.dumps({"type": "FeatureCollection", "features": features}),
        headers={"Content-Type": "application/geo+json"},
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["areas"] == [f"B{i}" for i in range(7)]
    return shapes_m
