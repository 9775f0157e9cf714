"""Streets as GeoJSON, and as lines to draw."""

from __future__ import annotations

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.geo.antimeridian import cut_each
from app.streets.layer import StreetLayer

M_PER_DEGREE = 111_320.0
DRAWN_UNITS = 1e-5
"""About a metre."""
CENTIMETRES = 2
TOLERANCE_M = 8.0


def lines_degrees(layer: StreetLayer) -> NDArray[np.object_]:
    """Return the segments (S,) as lines; longitudes may continue beyond 180."""
    of = np.repeat(np.arange(len(layer)), np.diff(layer.start))
    return np.asarray(shapely.linestrings(layer.degrees, indices=of))


def streets_geojson(layer: StreetLayer) -> bytes:
    """Return all segments as GeoJSON."""
    geometry = shapely.to_geojson(cut_each(lines_degrees(layer)))
    length_m = np.round(layer.length_m.astype(np.float64), CENTIMETRES).tolist()
    parts = [
        b'{"type":"Feature","id":%d,"properties":%b,"geometry":%b}'
        % (
            segment,
            orjson.dumps({"name": layer.name_of(segment), "length_m": length_m[segment]}),
            text.encode(),
        )
        for segment, text in enumerate(geometry)
    ]
    return b'{"type":"FeatureCollection","features":[' + b",".join(parts) + b"]}"


def lines_json(layer: StreetLayer, digest: str, tolerance_m: float = TOLERANCE_M) -> bytes:
    """Return the streets as lines of whole numbers, for the page; see `StreetLines`.

    Segments that meet end to end under one name become one line. Longitudes may continue beyond 180.
    """
    middle = float(np.cos(np.radians(layer.degrees[:, 1].mean())))
    lines, name = _joined(layer)
    flat = shapely.transform(lines, lambda xy: xy * (middle, 1.0))
    simple = shapely.simplify(flat, tolerance_m / M_PER_DEGREE, preserve_topology=False)
    xy, of = shapely.get_coordinates(simple, return_index=True)
    whole = np.rint(xy / (middle, 1.0) / DRAWN_UNITS).astype(np.int64)
    steps = whole.copy()
    inner = of[1:] == of[:-1]
    steps[1:][inner] = whole[1:][inner] - whole[:-1][inner]
    start = np.searchsorted(of, np.arange(len(lines) + 1)).tolist()
    flat_steps = steps.ravel().tolist()
    found = [
        [row, *flat_steps[2 * start[i] : 2 * start[i + 1]]] for i, row in enumerate(name.tolist())
    ]
    return orjson.dumps(
        {
            "digest": digest,
            "tolerance_m": tolerance_m,
            "units": DRAWN_UNITS,
            "names": layer.names,
            "lines": found,
        }
    )


def _joined(layer: StreetLayer) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
    """Join the segments of each name where only they meet; return lines and rows of names."""
    order = np.argsort(layer.name, kind="stable")
    lines = lines_degrees(layer)[order]
    names, start = np.unique(layer.name[order], return_index=True)
    groups = np.split(lines, start[1:])
    merged = [shapely.get_parts(shapely.line_merge(shapely.multilinestrings(g))) for g in groups]
    return np.concatenate(merged), np.repeat(names, [len(one) for one in merged])
