"""Ranked street segments as GeoJSON, CSV and GPX."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from scipy.special import bdtr

from app.forecasts.forecast import Forecast
from app.forecasts.replies.serialisers import collection, forecast_csv, rounded
from app.forecasts.streets.reader import StreetReader
from app.forecasts.streets.selection import ChosenStreets, chosen_streets
from app.geo.antimeridian import normalised
from models.counts.negative_binomial import LEVEL
from models.streets.ranking import M_PER_KM

DECIMALS = 6


def streets_geojson(forecast: Forecast, reader: StreetReader, top: float) -> bytes:
    """Return the ranked segments as lines, and what they cover and catch, as GeoJSON."""
    found = chosen_streets(forecast, reader, top)
    columns = _columns(found)
    labels = orjson.dumps(forecast.labels())[1:]
    geometry = found.streets.geometry_json
    names = list(columns)
    parts = [
        b'{"type":"Feature","id":%d,"properties":%b,%b,"geometry":%b}'
        % (
            values[1],
            orjson.dumps(dict(zip(names, values, strict=True)))[:-1],
            labels,
            geometry[values[1]],
        )
        for values in zip(*columns.values(), strict=True)
    ]
    return collection(_head(found), b",".join(parts))


def streets_csv(forecast: Forecast, reader: StreetReader, top: float) -> bytes:
    """Return one line per ranked segment as CSV, with the middle of each and the warnings."""
    found = chosen_streets(forecast, reader, top)
    middle = shapely.line_interpolate_point(_lines(found), 0.5, normalized=True)
    columns = _columns(found)
    n = len(found.chosen)
    labels = {name: [value] * n for name, value in forecast.labels().items()}
    place = {
        "longitude": normalised(shapely.get_x(middle)).round(DECIMALS),
        "latitude": shapely.get_y(middle).round(DECIMALS),
    }
    return forecast_csv(forecast, {**columns, **place, **labels})


def streets_gpx(forecast: Forecast, reader: StreetReader, top: float) -> bytes:
    """Return GPX 1.1: each ranked segment as a track."""
    found = chosen_streets(forecast, reader, top)
    labels = forecast.labels()
    columns = _columns(found)
    about = f"{labels['region']}, {labels['model_version']}, {labels['at']}"
    tracks = []
    for row, line in enumerate(_lines(found)):
        name = columns["name"][row] or f"Street {columns['id'][row]}"
        said = (
            f"{columns['expected_count'][row]:.3g} incidents expected, "
            f"{columns['per_km'][row]:.3g} per km"
        )
        points = "".join(
            f'<trkpt lat="{y:.6f}" lon="{float(normalised(x)):.6f}"/>'
            for x, y in shapely.get_coordinates(line).tolist()
        )
        tracks.append(
            f"<trk><name>{columns['rank'][row]} {escape(name)}</name><desc>{said}</desc>"
            f"<trkseg>{points}</trkseg></trk>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="hotslot" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<metadata><name>{escape(about)}</name><desc>{escape(forecast.warned)}</desc></metadata>"
        f"{''.join(tracks)}</gpx>\n"
    ).encode()


def _lines(found: ChosenStreets) -> NDArray[Any]:
    """Return the chosen segments as lines in degrees."""
    layer, rows = found.streets.layer, found.chosen
    start, sizes = layer.start[rows], layer.start[rows + 1] - layer.start[rows]
    of = np.repeat(np.arange(len(rows)), sizes)
    place = np.repeat(start - (np.cumsum(sizes) - sizes), sizes) + np.arange(len(of))
    return np.asarray(shapely.linestrings(layer.degrees[place], indices=of))


def _columns(found: ChosenStreets) -> dict[str, list[Any]]:
    """Return rank, segment, name, length and expected incidents of the chosen segments."""
    rows, forecast = found.chosen, found.forecast
    count = found.expected_count[rows]
    low, high = forecast.interval_of(count)
    length_m = found.length_m[rows]
    harm = {}
    if forecast.harm_total is not None:
        harm = {"expected_harm": rounded(found.share[rows] * forecast.harm_total).tolist()}
    return {
        "rank": list(range(1, len(rows) + 1)),
        "id": rows.tolist(),
        "name": [found.streets.layer.name_of(row) for row in rows.tolist()],
        "length_m": length_m.round(2).tolist(),
        "share_of_incidents": rounded(found.count_share[rows]).tolist(),
        "expected_count": rounded(count).tolist(),
        "expected_count_lo": low.astype(np.int64).tolist(),
        "expected_count_hi": high.astype(np.int64).tolist(),
        "per_km": rounded(count / (length_m / M_PER_KM)).tolist(),
        **harm,
    }


def _head(found: ChosenStreets) -> dict[str, Any]:
    """Return what the chosen segments cover and catch together, and what lies on no street.

    The interval of the share is that of a binomial draw of as many incidents as are expected.
    """
    forecast, rows = found.forecast, found.chosen
    length_km = float(found.length_m[rows].sum()) / M_PER_KM
    whole_km = float(found.length_m[found.rows].sum()) / M_PER_KM
    share = min(float(found.count_share[rows].sum()), 1.0)
    count = share * forecast.expected_total
    low, high = forecast.interval_of(np.array([count]))
    n = max(1, round(forecast.expected_total))
    chances = bdtr(np.arange(n), n, share)
    tail = (1 - LEVEL) / 2
    off = max(0.0, 1.0 - float(found.count_share.sum()))
    harm = {}
    if forecast.harm_total is not None:
        worth = min(float(found.share[rows].sum()), 1.0)
        harm = {"share_of_harm_expected": worth, "expected_harm": worth * forecast.harm_total}
    return {
        **forecast.heading(),
        "streets": found.streets.digest,
        "bandwidth_m": found.shares.bandwidth_m,
        "top": found.top,
        "n_segments": len(rows),
        "n_segments_total": len(found.rows),
        "length_km": length_km,
        "length_km_total": whole_km,
        "share_of_length": length_km / whole_km,
        "share_of_incidents_expected": share,
        "share_of_incidents_lo": int(np.searchsorted(chances, tail)) / n,
        "share_of_incidents_hi": int(np.searchsorted(chances, 1 - tail)) / n,
        "share_off_streets": off,
        "expected_off_streets": off * forecast.expected_total,
        "expected_count": count,
        "expected_count_lo": int(low[0]),
        "expected_count_hi": int(high[0]),
        **harm,
    }
