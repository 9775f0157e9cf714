"""Zones as GeoJSON, CSV, GPX and GeoPackage: where to go, what to expect there, what compactness costs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
import orjson
import shapely

from app.forecasts.rendering.files import collection_gpkg
from app.forecasts.replies.serialisers import collection, flat, forecast_csv, ids_of
from app.forecasts.zones.plan import ZonePlan
from app.forecasts.zones.selection import Rows
from app.geo.antimeridian import cut, normalised
from models.zones.problem import compactness_of


def zones_geojson(plan: ZonePlan) -> bytes:
    """Return each zone's polygon with rank and expected count, and what all catch, as GeoJSON."""
    parts = [
        b'{"type":"Feature","id":%d,"properties":%b,"geometry":%b}'
        % (
            properties["rank"],
            orjson.dumps(properties),
            shapely.to_geojson(shape_of(plan, zone)).encode(),
        )
        for zone, properties in each_zone(plan)
    ]
    return collection(head_of(plan), b",".join(parts))


def zones_csv(plan: ZonePlan) -> bytes:
    """Return one line per zone as CSV, with the warnings."""
    lines = [properties for _, properties in each_zone(plan)]
    return forecast_csv(
        plan.forecast, {name: [flat(line[name]) for line in lines] for name in lines[0]}
    )


def zones_gpkg(plan: ZonePlan) -> bytes:
    """Return a GeoPackage with the layer `zones`, WGS 84."""
    return collection_gpkg(zones_geojson(plan), "zones")


def zones_gpx(plan: ZonePlan) -> bytes:
    """Return GPX 1.1: for each zone a waypoint at its best cell and its outline as a track."""
    labels = plan.forecast.labels()
    about = f"{labels['region']}, {labels['model_version']}, {labels['at']} to {labels['to']}"
    said = "; ".join(f"{name}: {value}" for name, value in labels.items() if value is not None)
    waypoints, tracks = [], []
    for zone, properties in each_zone(plan):
        area = f", {escape(properties['area'])}" if "area" in properties else ""
        name = f"<name>Zone {properties['rank']}{area}</name>"
        expected = (
            f"{properties['expected_count']:.3g} incidents expected "
            f"({properties['expected_count_lo']} to {properties['expected_count_hi']}), "
            f"{properties['area_km2']:.3g} km2; {properties['place'] or ''}; {about}"
        )
        place = f'lat="{properties["latitude"]}" lon="{properties["longitude"]}"'
        waypoints.append(f"<wpt {place}>{name}<desc>{escape(expected)}</desc></wpt>")
        tracks.append(f"<trk>{name}{''.join(_segments(shape_of(plan, zone)))}</trk>")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="hotslot" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<metadata><name>{escape(about)}</name>"
        f"<desc>{escape('; '.join(filter(None, [said, plan.forecast.warned])))}</desc></metadata>"
        f"{''.join(waypoints)}{''.join(tracks)}</gpx>\n"
    ).encode()


def _segments(shape: Any) -> Iterator[str]:
    """Yield the outlines of a zone as segments of a track."""
    for part in shapely.get_parts(shape):
        for ring in (part.exterior, *part.interiors):
            points = shapely.get_coordinates(ring).tolist()
            yield "<trkseg>"
            yield from (f'<trkpt lat="{y:.6f}" lon="{x:.6f}"/>' for x, y in points)
            yield "</trkseg>"


def shape_of(plan: ZonePlan, zone: Rows) -> Any:
    """Return a zone's polygon in degrees, cut at the 180th meridian."""
    return cut(shapely.union_all(plan.forecast.cells.polygons_degrees()[zone]))


def head_of(plan: ZonePlan) -> dict[str, Any]:
    """Return what the zones cover and catch together, beside free cells of their area."""
    chosen, options, forecast = plan.chosen, plan.options, plan.forecast
    rows = chosen.together
    share = float(forecast.count_share[rows].sum())
    count = share * forecast.expected_total
    low, high = forecast.interval_of(np.array([count]))
    free = float(forecast.probability[chosen.free].sum())
    more: dict[str, Any] = {}
    if forecast.harm_total is not None:
        more["share_of_harm_expected"] = chosen.worth
        more["expected_harm"] = chosen.worth * forecast.harm_total
    if plan.price is not None:
        more["price"] = plan.price
    if plan.previous is not None:
        more["previous"] = plan.previous
    if plan.record is not None:
        more |= plan.record
    return {
        **forecast.heading(),
        **forecast.cells.head(),
        "from": plan.hours[0],
        "to": forecast.labels()["to"],
        "hours": plan.hours,
        "expected_by_hour": forecast.slot_mean.tolist(),
        "n": options.n,
        "max_km2": options.max_km2,
        "compactness": options.compactness,
        "min_separation_m": options.min_separation_m,
        "avoid": list(options.avoid),
        "within": forecast.selector.within,
        "n_zones": len(chosen.rows),
        "n_cells": len(rows),
        "area_km2": chosen.area_km2,
        "share_of_area": chosen.area_km2 / float(forecast.cells.area_km2[forecast.rows].sum()),
        "share_of_incidents_expected": share,
        "share_of_incidents_free": float(forecast.count_share[chosen.free].sum()),
        "share_of_free_cells": chosen.worth / free if free > 0 else None,
        "share_of_bound": min(1.0, chosen.worth / chosen.bound) if chosen.bound > 0 else None,
        "expected_count": count,
        "expected_count_lo": int(low[0]),
        "expected_count_hi": int(high[0]),
        **more,
    }


def each_zone(plan: ZonePlan) -> Iterator[tuple[Rows, dict[str, Any]]]:
    """Yield the rows and the properties of each zone, best first."""
    chosen, forecast = plan.chosen, plan.forecast
    count = np.array([forecast.expected_count[zone].sum() for zone in chosen.rows])
    low, high = forecast.interval_of(count)
    longitude, latitude = forecast.cells.centres
    n_sides = chosen.neighbours.shape[1]
    labels = forecast.labels()
    for place, zone in enumerate(chosen.rows):
        best = zone[np.argmax(forecast.probability[zone])]
        probability = float(forecast.probability[zone].sum())
        more: dict[str, Any] = {}
        if forecast.harm_total is not None:
            more["expected_harm"] = probability * forecast.harm_total
        layers = forecast.layers
        if layers.part is not None:
            more["area"] = layers.names[layers.part[zone[0]]]
        if plan.status is not None:
            more["status"] = plan.status[place]
        yield (
            zone,
            {
                "rank": place + 1,
                "place": plan.place_of(zone),
                "neighbourhood": plan.neighbourhood_of(zone),
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
                **more,
                "hours": plan.by_hour[:, place].tolist(),
                "cells": ids_of(forecast, zone),
                **labels,
            },
        )
