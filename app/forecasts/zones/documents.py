"""Zones as GeoJSON, CSV and GPX: where to go, what to expect there, and what compactness costs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.forecasts.forecast import Forecast
from app.forecasts.serialisers import collection, csv_bytes, ids_of
from app.forecasts.zones.selection import ChosenZones, ZoneOptions, chosen_zones
from app.geo.antimeridian import cut, normalised
from models.zones.problem import compactness_of


def zones_geojson(forecast: Forecast, options: ZoneOptions) -> bytes:
    """Return each zone's polygon with rank and expected count, and what all catch, as GeoJSON."""
    chosen = chosen_zones(forecast, options)
    parts = [
        b'{"type":"Feature","id":%d,"properties":%b,"geometry":%b}'
        % (
            properties["rank"],
            orjson.dumps({**properties, **forecast.labels()}),
            shapely.to_geojson(_shape(forecast, zone)).encode(),
        )
        for zone, properties in _each(chosen)
    ]
    return collection(_head(chosen, options), b",".join(parts))


def zones_csv(forecast: Forecast, options: ZoneOptions) -> bytes:
    """Return one line per zone as CSV; `cells` are joined by spaces."""
    lines = []
    for _, properties in _each(chosen_zones(forecast, options)):
        cells = " ".join(str(one) for one in properties.pop("cells"))
        lines.append({**properties, "cells": cells, **forecast.labels()})
    return csv_bytes({name: [line[name] for line in lines] for name in lines[0]})


def zones_gpx(forecast: Forecast, options: ZoneOptions) -> bytes:
    """Return GPX 1.1: for each zone a waypoint at its best cell and its outline as a track."""
    labels = forecast.labels()
    about = f"{labels['region']}, {labels['model_version']}, {labels['at']}"
    waypoints, tracks = [], []
    for zone, properties in _each(chosen_zones(forecast, options)):
        area = f", {escape(properties['area'])}" if "area" in properties else ""
        name = f"<name>Zone {properties['rank']}{area}</name>"
        expected = (
            f"{properties['expected_count']:.3g} incidents expected "
            f"({properties['expected_count_lo']} to {properties['expected_count_hi']}), "
            f"{properties['area_km2']:.3g} km2"
        )
        place = f'lat="{properties["latitude"]}" lon="{properties["longitude"]}"'
        waypoints.append(f"<wpt {place}>{name}<desc>{expected}</desc></wpt>")
        tracks.append(f"<trk>{name}{''.join(_segments(_shape(forecast, zone)))}</trk>")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="hotslot" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<metadata><name>{escape(about)}</name><desc>{escape(_warned(forecast))}</desc></metadata>"
        f"{''.join(waypoints)}{''.join(tracks)}</gpx>\n"
    ).encode()


def _warned(forecast: Forecast) -> str:
    return "; ".join(warning.message for warning in forecast.warnings)


def _segments(shape: Any) -> Iterator[str]:
    """Yield the outlines of a zone as segments of a track."""
    for part in shapely.get_parts(shape):
        for ring in (part.exterior, *part.interiors):
            points = shapely.get_coordinates(ring).tolist()
            yield "<trkseg>"
            yield from (f'<trkpt lat="{y:.6f}" lon="{x:.6f}"/>' for x, y in points)
            yield "</trkseg>"


def _shape(forecast: Forecast, zone: NDArray[np.int64]) -> Any:
    return cut(shapely.union_all(forecast.cells.polygons_degrees()[zone]))


def _head(chosen: ChosenZones, options: ZoneOptions) -> dict[str, Any]:
    """Return what the zones cover and catch together, beside free cells of their area."""
    forecast, rows = chosen.forecast, chosen.together
    share = float(forecast.count_share[rows].sum())
    count = share * forecast.expected_total
    low, high = forecast.interval_of(np.array([count]))
    worth = float(forecast.probability[rows].sum())
    free = float(forecast.probability[chosen.free].sum())
    harm = {}
    if forecast.harm_total is not None:
        harm = {"share_of_harm_expected": worth, "expected_harm": worth * forecast.harm_total}
    return {
        **forecast.heading(),
        **forecast.cells.head(),
        "n": options.n,
        "max_km2": options.max_km2,
        "compactness": options.compactness,
        "min_separation_m": options.min_separation_m,
        "within": forecast.selector.within,
        "n_zones": len(chosen.rows),
        "n_cells": len(rows),
        "area_km2": chosen.area_km2,
        "share_of_area": chosen.area_km2 / float(forecast.cells.area_km2[forecast.rows].sum()),
        "share_of_incidents_expected": share,
        "share_of_incidents_free": float(forecast.count_share[chosen.free].sum()),
        "share_of_free_cells": worth / free if free > 0 else None,
        "share_of_bound": min(1.0, worth / chosen.bound) if chosen.bound > 0 else None,
        "expected_count": count,
        "expected_count_lo": int(low[0]),
        "expected_count_hi": int(high[0]),
        **harm,
    }


def _each(chosen: ChosenZones) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
    """Yield the rows and the properties of each zone, best first."""
    forecast = chosen.forecast
    count = np.array([forecast.expected_count[zone].sum() for zone in chosen.rows])
    low, high = forecast.interval_of(count)
    longitude, latitude = forecast.cells.centres
    n_sides = chosen.neighbours.shape[1]
    for place, zone in enumerate(chosen.rows):
        best = zone[np.argmax(forecast.probability[zone])]
        probability = float(forecast.probability[zone].sum())
        harm, layers = {}, forecast.layers
        area = {} if layers.part is None else {"area": layers.names[layers.part[zone[0]]]}
        if forecast.harm_total is not None:
            harm = {"expected_harm": probability * forecast.harm_total}
        yield (
            zone,
            {
                "rank": place + 1,
                "longitude": float(normalised(longitude[best])),
                "latitude": float(latitude[best]),
                "n_cells": len(zone),
                "area_km2": float(forecast.cells.area_km2[zone].sum()),
                "compactness": compactness_of(len(zone), chosen.perimeter(zone), n_sides),
                "share_of_incidents": float(forecast.count_share[zone].sum()),
                "probability": probability,
                "expected_count": float(count[place]),
                "expected_count_lo": int(low[place]),
                "expected_count_hi": int(high[place]),
                **harm,
                **area,
                "cells": ids_of(forecast, zone),
            },
        )
