"""The maps of a briefing: the city, and its zones enlarged, with streets and neighbourhoods."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from app.forecasts.zones.plan import ZonePlan
from app.geo.hexagons import projected
from app.geo.study_area import to_degrees, to_metres

if TYPE_CHECKING:
    from matplotlib.axes import Axes

View = tuple[float, float, float, float]
"""West, south, east, north in metres."""
INK, QUIET, LINE, LAND, ZONE = "#16202a", "#5b6773", "#c9d1d8", "#f3f5f7", "#c2410c"
MIN_VIEW_M = 2_500.0
MAX_STREETS = 6_000
"""More could not be distinguished."""
NAMED_SHARE = 0.03
"""Of the view: a neighbourhood that covers less of it has no name there."""
BAR_KM = (0.2, 0.5, 1, 2, 5, 10, 20, 50)


def draw_maps(plan: ZonePlan, ranks: Sequence[str], axes: tuple[Axes, Axes], aspect: float) -> None:
    """Draw the whole city, with a frame around what the second map enlarges.

    Args:
        plan: the zones.
        ranks: what to write on each.
        axes: of the city and of the zones.
        aspect: height of the axes, divided by their width.
    """
    whole, near = axes
    polygons, crs = plan.forecast.cells.polygons_degrees(), plan.forecast.cells.crs
    unions = [shapely.union_all(polygons[rows]) for rows in plan.chosen.rows]
    shapes = projected(np.array(unions), crs)
    city = plan.forecast.version.area.polygon_m
    view = view_of(shapely.total_bounds(shapes), aspect, MIN_VIEW_M)
    _draw_city(whole, city, view_of(np.array(city.bounds), aspect, 0.0))
    _draw_city(near, city, view)
    _draw_streets(near, plan, view)
    _draw_neighbourhoods(near, plan, view, shapely.union_all(shapes))
    west, south, east, north = view
    whole.plot(
        [west, east, east, west, west], [south, south, north, north, south],
        color=INK, linewidth=0.8, linestyle=(0, (3, 2)),
    )  # fmt: skip
    for rank, shape in zip(ranks, shapes, strict=True):
        _draw_zone(whole, shape, "")
        _draw_zone(near, shape, rank)
    for one in axes:
        _scale_bar(one)


def _draw_streets(axes: Axes, plan: ZonePlan, view: View) -> None:
    """Draw the streets of a view, unless they are too many."""
    from matplotlib.collections import LineCollection

    if plan.street_names is None:
        return
    layer, crs = plan.street_names.layer, plan.forecast.cells.crs
    west, south, east, north = view
    x_m, y_m = np.array([west, east, east, west]), np.array([south, south, north, north])
    longitude, latitude = to_degrees(x_m, y_m, crs)
    low, high = (longitude.min(), latitude.min()), (longitude.max(), latitude.max())
    inside = ((layer.degrees >= low) & (layer.degrees <= high)).all(axis=1)
    segment = np.repeat(np.arange(len(layer)), np.diff(layer.start))
    shown = np.isin(segment, segment[inside])
    n_vertices = np.bincount(segment[shown], minlength=len(layer))
    n_vertices = n_vertices[n_vertices > 0]
    if not 0 < len(n_vertices) <= MAX_STREETS:
        return
    degrees = layer.degrees[shown]
    xy_m = np.column_stack(to_metres(degrees[:, 0], degrees[:, 1], crs))
    lines = np.split(xy_m, np.cumsum(n_vertices)[:-1])
    axes.add_collection(LineCollection(lines, colors=LINE, linewidths=0.6, zorder=1))


def _draw_neighbourhoods(axes: Axes, plan: ZonePlan, view: View, zones: Any) -> None:
    """Draw the borders of neighbourhoods in a view, and the names of those with room for one."""
    if plan.neighbourhoods is None:
        return
    west, south, east, north = view
    shapes = shapely.clip_by_rect(
        projected(plan.neighbourhoods.shapes, plan.forecast.cells.crs), *view
    )
    least_m2 = (east - west) * (north - south) * NAMED_SHARE
    for name, shape in zip(plan.neighbourhoods.names, shapes, strict=True):
        for part in shapely.get_parts(shapely.simplify(shape, (east - west) / 1500)):
            if part.geom_type == "Polygon":
                axes.plot(*_ring(part.exterior), color=QUIET, linewidth=0.5, linestyle=(0, (4, 2)))
        point = shapely.point_on_surface(shape)
        if shape.area > least_m2 and shapely.distance(zones, point) > 0.06 * (east - west):
            label = "\n".join(textwrap.wrap(name, 18))
            axes.text(
                point.x,
                point.y,
                label,
                fontsize=6.5,
                clip_on=True,
                color=QUIET,
                ha="center",
                va="center",
            )


def view_of(bounds: Any, aspect: float, least_m: float) -> View:
    """Return west, south, east, north of a view with some room around bounds (metres)."""
    west, south, east, north = (float(value) for value in bounds)
    width = max(1.15 * (east - west), least_m, 1.15 * (north - south) / aspect)
    x, y = (west + east) / 2, (south + north) / 2
    return x - width / 2, y - width * aspect / 2, x + width / 2, y + width * aspect / 2


def _draw_city(axes: Axes, city: Any, view: View) -> None:
    west, south, east, north = view
    # A vector file of a whole coast line would be megabytes: finer than the print shows is left out.
    shown = shapely.clip_by_rect(shapely.simplify(city, (east - west) / 1500), *view)
    for part in shapely.get_parts(shown):
        if part.geom_type == "Polygon":
            axes.fill(*_ring(part.exterior), color=LAND, linewidth=0)
            for ring in (part.exterior, *part.interiors):
                axes.plot(*_ring(ring), color=QUIET, linewidth=0.7)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _ring(ring: Any) -> Any:
    """Return x and y of a ring."""
    return np.asarray(ring.coords)[:, :2].T


def _draw_zone(axes: Axes, shape: Any, label: str) -> None:
    for part in shapely.get_parts(shape):
        ring = _ring(part.exterior)
        axes.fill(*ring, facecolor=ZONE, alpha=0.35, linewidth=0)
        axes.plot(*ring, color=ZONE, linewidth=1.2)
    if label:
        point = shapely.point_on_surface(shape)
        axes.text(
            point.x, point.y, label, fontsize=9, fontweight="bold", color="white",
            ha="center", va="center", bbox={"boxstyle": "circle,pad=0.25", "facecolor": ZONE, "linewidth": 0},
        )  # fmt: skip


def _scale_bar(axes: Axes) -> None:
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    width_m = east - west
    length_km = max((km for km in BAR_KM if 1000 * km <= 0.3 * width_m), default=BAR_KM[0])
    x, y = west + 0.04 * width_m, south + 0.04 * (north - south)
    axes.plot([x, x + 1000 * length_km], [y, y], color=INK, linewidth=2.5, solid_capstyle="butt")
    axes.text(
        x, y + 0.015 * (north - south), f"{length_km:g} km", fontsize=7.5, color=INK, zorder=1
    )
