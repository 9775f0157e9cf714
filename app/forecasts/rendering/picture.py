"""A forecast as a map with a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from app.core.errors import InvalidInput
from app.core.output.plotting import drawing, file_of
from app.core.zones import zone
from app.forecasts.forecast import Forecast
from app.forecasts.rendering.colours import colour_map, upper_end
from app.forecasts.rendering.files import text_tags
from app.geo.hexagons import projected

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PIXELS_PER_INCH = 110
WIDTH_INCHES = 8.0
PNG_NAMES = {"bbox": "bounding_box"}
BAR_KM = (1, 2, 5, 10, 20, 50, 100)


def density_png(forecast: Forecast) -> bytes:
    """Draw the share of incidents per km2, on a square-root scale, as PNG.

    Raises:
        InvalidInput: no cell touches the requested box.
    """
    if len(forecast.rows) == 0:
        raise InvalidInput("no cell touches the bbox", field="bbox")
    return _draw(forecast)


def title_of(forecast: Forecast) -> str:
    """Return the title: region, time, expected incidents, version."""
    local = zone(forecast.version.region.timezone)
    begin, end = forecast.at.astimezone(local), forecast.until.astimezone(local)
    when = f"{begin:%A %Y-%m-%d %H:%M} to {end:%H:%M}"
    if end - begin > end.resolution and end.date() != begin.date():
        when = f"{begin:%A %Y-%m-%d %H:%M} to {end:%A %Y-%m-%d %H:%M}"
    low, high = forecast.total_interval
    return (
        f"{forecast.version.region.name}: {when}\n"
        f"{forecast.expected_total:.1f} incidents expected (90 %: {low:.0f} to {high:.0f}); "
        f"{forecast.version.record.version}"
    )


def _draw(forecast: Forecast) -> bytes:
    from matplotlib.collections import PolyCollection

    rows = forecast.rows
    density = 100 * forecast.density_per_km2[rows]
    polygons_m = projected(forecast.cells.polygons_degrees()[rows], forecast.cells.crs)
    west, south, east, north = shapely.total_bounds(polygons_m) / 1000
    height = WIDTH_INCHES * 0.84 * (north - south) / (east - west)
    size = (WIDTH_INCHES, float(np.clip(height, 3, 20)) + 0.8)
    with drawing(figsize=size, dpi=PIXELS_PER_INCH) as figure:
        axes = figure.add_axes((0.02, 0.02, 0.82, 0.86))
        top = upper_end(density)
        corners = [shapely.get_coordinates(p) / 1000 for p in polygons_m]
        drawn = PolyCollection(corners, cmap=colour_map(), linewidths=0, antialiased=False)
        drawn.set_array(np.sqrt(np.minimum(density, top)))
        drawn.set_clim(0, float(np.sqrt(top)))
        axes.add_collection(drawn)
        _outline(axes, forecast)
        axes.set_xlim(float(west), float(east))
        axes.set_ylim(float(south), float(north))
        axes.set_aspect("equal")
        axes.set_axis_off()
        _scale_bar(axes, float(west), float(south), float(east - west))
        bar = figure.colorbar(drawn, cax=figure.add_axes((0.86, 0.12, 0.025, 0.68)))
        ticks = np.linspace(0, float(np.sqrt(top)), 6)
        bar.set_ticks(ticks.tolist(), labels=[f"{t**2:.2g}" for t in ticks])
        bar.set_label("% of the incidents per km²")
        figure.suptitle(title_of(forecast), fontsize=10)
        tags = text_tags(forecast)
        # Pillow reads a text named "bbox" as the position of an animation's frame and fails.
        return file_of(figure, "png", {PNG_NAMES.get(k, k): text for k, text in tags.items()})


def _outline(axes: Axes, forecast: Forecast) -> None:
    for part in shapely.get_parts(forecast.version.area.polygon_m):
        for ring in (part.exterior, *part.interiors):
            x_km, y_km = np.asarray(ring.coords)[:, :2].T / 1000
            axes.plot(x_km, y_km, color="#16202a", linewidth=0.8)


def _scale_bar(axes: Axes, west_km: float, south_km: float, width_km: float) -> None:
    length: Any = max((km for km in BAR_KM if km <= 0.25 * width_km), default=BAR_KM[0])
    x_km, y_km = west_km + 0.02 * width_km, south_km + 0.02 * width_km
    axes.plot([x_km, x_km + length], [y_km, y_km], color="#16202a", linewidth=3)
    axes.text(x_km, y_km + 0.01 * width_km, f"{length} km", fontsize=9)
