"""Areas that a request sends: tangles are refused before the work, lines are widened."""

import numpy as np
import pytest
import shapely

from app.core.errors import InvalidInput, LimitExceeded
from app.forecasts.areas.polygons import _buffered, polygons_m


@pytest.mark.parametrize("kind", ["Polygon", "LineString"])
def test_tangled_areas_are_refused_before_they_are_mended(kind):
    """As stars of n points whose sides all cross: mending them would take hours."""
    n = 20_001
    turn = np.arange(n) * 2 * np.pi * (n // 2) / n
    star = np.column_stack([-74.06 + 0.05 * np.cos(turn), 4.66 + 0.05 * np.sin(turn)])
    ring = [*star.tolist(), star[0].tolist()]
    shape = {"type": kind, "coordinates": [ring] if kind == "Polygon" else ring}
    with pytest.raises(LimitExceeded):
        polygons_m([{"geometry": shape}], "EPSG:32618", 100.0)


def test_lines_that_cross_themselves_are_refused_before_they_are_widened():
    """Below the limit of points: a thousand sides in disorder took minutes, ten thousand gigabytes."""
    places = np.random.default_rng(0).uniform((-74.1, 4.6), (-74.0, 4.7), (1_000, 2)).tolist()
    lines = [{"geometry": {"type": "LineString", "coordinates": places}}]
    many = [
        {"geometry": {"type": "LineString", "coordinates": places[n : n + 100]}} for n in range(90)
    ]
    for features in (lines, many):
        with pytest.raises(LimitExceeded, match="cross"):
            polygons_m(features, "EPSG:32618", 5.0)


@pytest.mark.slow
def test_streets_are_no_tangle():
    rows = [[[-74.1 + 0.001 * x, 4.6 + 0.001 * y] for x in range(70)] for y in range(70)]
    streets = {
        "type": "MultiLineString",
        "coordinates": rows + list(map(list, zip(*rows, strict=True))),
    }
    assert polygons_m([{"geometry": streets}], "EPSG:32618", 5.0)[0].area > 1e6


@pytest.mark.parametrize("kind", ["LineString", "Polygon"])
def test_areas_a_quarter_of_the_globe_away_are_refused(kind):
    """They have no metres: widening such a line ended the process."""
    ring = [[15.0, 0.0], [-165.0, 0.0], [-120.0, 1.0], [15.0, 0.0]]
    shape = {"type": kind, "coordinates": [ring] if kind == "Polygon" else ring}
    with pytest.raises(InvalidInput, match="too far"):
        polygons_m([{"geometry": shape}], "EPSG:32618", 50.0)


def test_a_line_is_widened_to_all_that_is_near():
    line = shapely.LineString([(0, 0), (100, 0), (100, 100), (20, -30)])
    wide = _buffered(line, 10.0)
    assert wide.symmetric_difference(line.buffer(10.0, quad_segs=8)).area < 1.0
    assert _buffered(shapely.MultiPoint([(0, 0), (5, 0)]), 10.0).contains(shapely.Point(14, 0))
