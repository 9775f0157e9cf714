"""Forecasts as GeoParquet and Cloud-Optimized GeoTIFF."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from app.core.errors import InvalidInput
from app.forecasts.cells import SquareCells
from app.forecasts.forecast import Forecast
from app.forecasts.replies.serialisers import cell_columns, flat, ids_of
from app.geo.antimeridian import cut_each

if TYPE_CHECKING:
    import geopandas as gpd

NODATA = -1.0
BANDS = (
    "density_per_km2",
    "expected_count",
    "expected_count_lo",
    "expected_count_hi",
    "probability",
    "band_lo",
    "band_hi",
)
"""The last two only of versions that know them."""


def density_parquet(forecast: Forecast) -> bytes:
    """Return GeoParquet with one row per cell, its polygon as geometry, WGS 84."""
    import geopandas as gpd

    rows = forecast.rows
    frame = gpd.GeoDataFrame(
        {"id": ids_of(forecast, rows), **cell_columns(forecast, rows)},
        geometry=cut_each(forecast.cells.polygons_degrees()[rows]),
        crs="EPSG:4326",
    )
    frame.attrs = {**forecast.heading(), **forecast.cells.head()}
    return _parquet(frame)


def collection_parquet(geojson: bytes) -> bytes:
    """Return GeoParquet of a FeatureCollection; its other members become `attrs` of the frame."""
    return _parquet(_frame(geojson))


def collection_gpkg(geojson: bytes, layer: str) -> bytes:
    """Return a GeoPackage of a forecast's FeatureCollection, WGS 84; each feature has the warnings.

    Lists are joined by spaces. Geometries are multiple, as those across the 180th meridian are.
    """
    frame = _frame(geojson)
    columns = {name: [flat(value) for value in frame[name]] for name in frame.columns[1:]}
    columns["warnings"] = ["; ".join(one["message"] for one in frame.attrs["warnings"])] * len(
        frame
    )
    several = [_multiple(shape) for shape in frame.geometry]
    buffer = io.BytesIO()
    made = type(frame)(columns, geometry=several, crs=frame.crs)
    made.to_file(buffer, driver="GPKG", layer=layer, engine="pyogrio")
    return buffer.getvalue()


def _multiple(shape: Any) -> Any:
    parts = shapely.get_parts(shape)
    if shape.geom_type.endswith("LineString"):
        return shapely.multilinestrings(parts)
    return shapely.multipolygons(parts)


def _frame(geojson: bytes) -> gpd.GeoDataFrame:
    import geopandas as gpd

    collection = orjson.loads(geojson)
    frame = gpd.GeoDataFrame.from_features(collection.pop("features"), crs="EPSG:4326")
    frame.attrs = {name: value for name, value in collection.items() if name != "type"}
    return frame


def _parquet(frame: gpd.GeoDataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


@dataclass(frozen=True)
class Frame:
    """The rectangle of squares around the cells to show."""

    ix0: int
    iy0: int
    nx: int
    ny: int
    west_m: float
    north_m: float
    cell_size_m: float


def frame_of(forecast: Forecast) -> Frame:
    """Return the frame of a raster of this forecast.

    Raises:
        InvalidInput: its cells are not squares, or none touches the requested box.
    """
    cells, rows = forecast.cells, forecast.rows
    if not isinstance(cells, SquareCells):
        raise InvalidInput("a raster needs grid=square", field="grid")
    if len(rows) == 0:
        raise InvalidInput("no cell touches the bbox", field="bbox")
    grid = cells.grid
    ix, iy = grid.ix[rows], grid.iy[rows]
    ix0, iy0 = int(ix.min()), int(iy.min())
    if forecast.selector.bbox is None:
        ix0, iy0, nx, ny = 0, 0, grid.nx, grid.ny
    else:
        nx, ny = int(ix.max()) - ix0 + 1, int(iy.max()) - iy0 + 1
    size_m = grid.cell_size_m
    west_m, north_m = grid.x0_m + ix0 * size_m, grid.y0_m + (iy0 + ny) * size_m
    return Frame(ix0, iy0, nx, ny, west_m, north_m, size_m)


def raster_of(forecast: Forecast, frame: Frame, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values (ny, nx) float32, north up; `NODATA` outside the study area."""
    cells, rows = forecast.cells, forecast.rows
    if not isinstance(cells, SquareCells):
        raise InvalidInput("a raster needs grid=square", field="grid")
    image = np.full((frame.ny, frame.nx), NODATA, np.float32)
    image[cells.grid.iy[rows] - frame.iy0, cells.grid.ix[rows] - frame.ix0] = values[rows]
    return image[::-1]


def text_tags(forecast: Forecast) -> dict[str, str]:
    """Return the heading as text, for files that hold such tags; one warning a line."""
    head = {**forecast.heading(), "until": forecast.until.isoformat()}
    tags = {name: str(value) for name, value in head.items() if value is not None}
    return {**tags, "warnings": "\n".join(warning.message for warning in forecast.warnings)}


def density_tif(forecast: Forecast) -> bytes:
    """Return a Cloud-Optimized GeoTIFF in the region's CRS with the bands of `BANDS`.

    Raises:
        InvalidInput: see `frame_of`.
    """
    from rasterio import Affine
    from rasterio.io import MemoryFile

    frame = frame_of(forecast)
    low, high = forecast.interval_of(forecast.expected_count)
    values = [
        forecast.density_per_km2,
        forecast.expected_count,
        low,
        high,
        forecast.probability,
        *(forecast.band_of(np.arange(len(forecast.cells))) or ()),
    ]
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            width=frame.nx,
            height=frame.ny,
            count=len(values),
            dtype="float32",
            crs=forecast.cells.crs,
            nodata=NODATA,
            transform=Affine(
                frame.cell_size_m, 0, frame.west_m, 0, -frame.cell_size_m, frame.north_m
            ),
            compress="DEFLATE",
        ) as file:
            for band, (name, value) in enumerate(zip(BANDS, values, strict=False), start=1):
                file.write(raster_of(forecast, frame, value), band)
                file.set_band_description(band, name)
            file.update_tags(**text_tags(forecast))
        content: bytes = memory.read()
    return content
