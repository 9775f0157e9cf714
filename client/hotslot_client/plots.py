"""Maps of forecasts on matplotlib's axes: `pip install hotslot-client[plot]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas as gpd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "density_per_km2": "share of the incidents per km²",
    "per_km": "expected incidents per km",
    "expected_count": "expected incidents",
}
DECADES = 3.0


def choropleth(
    frame: gpd.GeoDataFrame, axes: Axes, column: str | None = None, **style: Any
) -> Axes:
    """Draw a reply (density, hotspots, zones, streets, areas) in the colours of a column's values.

    The map is in the region's metres. Colours are logarithmic and cover the largest value and three powers
    of ten below it: forecasts differ more than that between places.

    Args:
        column: by default the first of `density_per_km2`, `per_km` and `expected_count` that it has.
        style: passed on to `GeoDataFrame.plot`, such as `cmap`, `norm` or `legend=False`.

    Raises:
        ValueError: the frame is empty or has no such column.
    """
    from matplotlib.colors import LogNorm

    chosen = column or next((name for name in LABELS if name in frame), None)
    if frame.empty or chosen is None or chosen not in frame:
        raise ValueError(f"nothing to draw: {len(frame)} rows, columns {', '.join(frame.columns)}")
    largest = float(frame[chosen].max())
    if largest > 0:
        style.setdefault("norm", LogNorm(largest / 10**DECADES, largest, clip=True))
    label = LABELS.get(chosen, chosen)
    style = {"cmap": "YlOrRd", "legend": True, **style}
    if style["legend"]:
        style.setdefault("legend_kwds", {"label": label, "shrink": 0.6})
    in_metres(frame).plot(chosen, ax=axes, **style)
    axes.set_axis_off()
    if title := title_of(frame):
        axes.set_title(title, parse_math=False)
    return axes


def outline(frame: gpd.GeoDataFrame, axes: Axes, **style: Any) -> Axes:
    """Draw the outlines of places, such as hotspots over the density of the same region."""
    style = {"color": "black", "linewidth": 0.8, **style}
    in_metres(frame).boundary.plot(ax=axes, **style)
    return axes


def in_metres(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a reply in the region's coordinate system, or the UTM zone where it does not say one."""
    return frame.to_crs(frame.attrs.get("crs") or frame.estimate_utm_crs())


def title_of(frame: gpd.GeoDataFrame) -> str:
    """Say what a reply is a forecast of: region and hour, or hours."""
    said = frame.attrs
    hours = [str(said[name])[:16].replace("T", " ") for name in ("at", "to") if said.get(name)]
    return ", ".join(part for part in (str(said.get("region", "")), " to ".join(hours)) if part)
