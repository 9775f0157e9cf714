"""Maps of replies on given axes."""

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import pytest
import shapely
from matplotlib.figure import Figure

from hotslot_client import plots

ATTRS = {"crs": "EPSG:32618", "region": "Cost $5 to $9", "at": "2026-01-09T23:00:00-05:00"}


@pytest.fixture
def axes():
    return Figure().add_subplot()


def cells(values, column="expected_count", **attrs):
    """Squares beside each other, west to east, near Bogotá."""
    squares = [
        shapely.box(-74.06 + i / 100, 4.66, -74.05 + i / 100, 4.67) for i in range(len(values))
    ]
    frame = gpd.GeoDataFrame({column: values}, geometry=squares, crs="EPSG:4326")
    frame.attrs = {**ATTRS, **attrs}
    return frame


def test_larger_values_are_darker_in_the_regions_metres(axes):
    frame = cells([0.001, 0.01, 0.1])
    assert plots.choropleth(frame, axes) is axes
    (drawn,) = (one for one in axes.collections if len(one.get_paths()) == 3)
    axes.figure.draw_without_rendering()
    light = drawn.get_facecolor()[:, :3].sum(axis=1)
    assert (np.diff(light) < 0).all()
    west, _ = axes.get_xlim()
    assert west == pytest.approx(frame.to_crs(ATTRS["crs"]).total_bounds[0], abs=200)
    assert axes.get_title() == "Cost $5 to $9, 2026-01-09 23:00"
    assert axes.title.get_parse_math() is False
    (colours,) = (other for other in axes.figure.axes if other is not axes)
    assert colours.get_ylabel() == "expected incidents"


def test_values_far_below_and_zeros_take_the_lightest_colour(axes):
    plots.choropleth(cells([0.0, 1e-9, 1e-3, 1.0], "density_per_km2"), axes, legend=False)
    axes.figure.draw_without_rendering()
    colours = axes.collections[0].get_facecolor()
    assert (colours[:3] == colours[0]).all()
    assert len(axes.figure.axes) == 1


def test_zeros_alone_are_drawn(axes):
    plots.choropleth(cells([0.0, 0.0]), axes)
    axes.figure.draw_without_rendering()


def test_style_is_passed_on(axes):
    plots.choropleth(cells([1.0, 2.0], "mine"), axes, "mine", cmap="Greys", norm=None, legend=False)
    axes.figure.draw_without_rendering()
    (drawn,) = axes.collections
    assert drawn.get_cmap() == mpl.colormaps["Greys"]
    assert drawn.get_clim() == (1.0, 2.0)


def test_outlines_lie_over_cells(axes):
    frame = cells([0.1, 0.2])
    plots.choropleth(frame, axes, legend=False)
    plots.outline(frame.iloc[:1], axes, color="blue")
    below, above = axes.collections
    assert above.get_datalim(axes.transData).x0 == pytest.approx(
        below.get_datalim(axes.transData).x0
    )


@pytest.mark.parametrize("frame", [cells([]), cells([1.0], "other")])
def test_nothing_to_draw(axes, frame):
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.choropleth(frame, axes)


def test_a_span_and_a_frame_that_says_nothing(axes):
    frame = cells([0.1], to="2026-01-10T02:00:00-05:00")
    assert plots.title_of(frame).endswith("2026-01-09 23:00 to 2026-01-10 02:00")
    frame.attrs = {}
    plots.choropleth(frame, axes)
    assert axes.get_title() == ""
    west, _ = axes.get_xlim()
    assert west > 1000
