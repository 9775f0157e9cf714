"""Parse untrusted files of street lines, and cut them to a study area.

Runs in the isolated process. GDAL reads GeoJSON, zipped shapefiles, FlatGeobuf and extracts of
OpenStreetMap; each is recognised by its first bytes, so that GDAL is never left to guess. GeoPackages are
read with SQLite alone.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from app.core.errors import InvalidInput, LimitExceeded
from app.core.processes.native import prepared, transformer
from app.geo.antimeridian import normalised
from app.geo.boundaries import study_area_from_geojson
from app.geo.study_area import StudyArea, to_degrees
from app.readers.context import chunks_of, write_file
from app.readers.damage import damage_as_invalid_input
from app.readers.files.archives import SHAPEFILE_PARTS
from app.readers.files.geopackage import MAGIC as SQLITE_MAGIC
from app.readers.files.geopackage import opened_package
from app.readers.files.office import SHAPEFILE_MAGIC

NAMES = (
    "name", "street", "street_name", "streetname", "full_name", "fullname", "st_name", "road_name",
    "roadname", "linear_name_full", "full_street_name", "label",
)  # fmt: skip
ROADS = frozenset(
    f"{kind}{link}"
    for kind in ("motorway", "trunk", "primary", "secondary", "tertiary")
    for link in ("", "_link")
) | {"unclassified", "residential", "living_street", "pedestrian", "road", "busway"}
"""Values of OpenStreetMap's `highway` that are streets; not footways, cycleways, tracks, service roads."""
MAX_LINES = 500_000
MAX_VERTICES = 3_000_000
MAX_NAME_CHARS = 100
MAX_UNPACKED_BYTES = 1 << 30
DEGREE_DECIMALS = 7
LINES_AT_ONCE = 2_000
FIRST_BYTES = 256
_OSM_XML = re.compile(rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>)?\s*<osm[\s>]")
"""Before the root only an XML declaration is taken: a document type could define entities without end."""
_LINES = (1, 5)  # shapely's type ids of LineString and MultiLineString


@dataclass(frozen=True)
class _Layer:
    """Columns of equal length, and the CRS that the file names."""

    geometry: NDArray[Any]
    name: Sequence[Any] | None
    highway: Sequence[Any] | None
    crs: str | None


def street_items(file: IO[bytes], asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield street lines in blocks, and at the end how many were left out, and why.

    Coordinates are degrees times ten to the seventh, longitude and latitude in turn.

    Args:
        file: GeoJSON, GeoPackage, FlatGeobuf, a zipped shapefile, or an extract of OpenStreetMap
            (.osm.pbf or .osm).
        asked: `boundary`, GeoJSON of the study area, and its `crs`.

    Raises:
        InvalidInput: it is none of these, or has no lines in the study area.
        LimitExceeded: too many lines or vertices.
    """
    area = study_area_from_geojson(asked["boundary"], asked["crs"])
    with tempfile.TemporaryDirectory() as folder, damage_as_invalid_input("file of streets"):
        layer = _read(file, Path(folder))
    is_line = np.isin(shapely.get_type_id(layer.geometry), _LINES)
    is_street = is_line & _is_street(layer)
    n_vertices = int(shapely.get_num_coordinates(layer.geometry[is_street]).sum())
    _check(int(is_street.sum()), MAX_LINES, "lines")
    _check(n_vertices, MAX_VERTICES, "vertices")
    lines_m, row = _inside(layer.geometry[is_street], layer.crs, area)
    if len(lines_m) == 0:
        raise InvalidInput(
            f"none of the {int(is_street.sum())} lines lies in the study area", field="streets"
        )
    names = _texts(layer.name, np.flatnonzero(is_street)[row])
    for start in range(0, len(lines_m), LINES_AT_ONCE):
        part = slice(start, start + LINES_AT_ONCE)
        yield _block(lines_m[part], names[part], area.crs)
    yield {
        "not_lines": int((~is_line).sum()),
        "not_streets": int((is_line & ~is_street).sum()),
        "outside": int(is_street.sum()) - len(np.unique(row)),
    }


def _check(n: int, limit: int, what: str) -> None:
    if n > limit:
        raise LimitExceeded(
            f"the file has {n} {what} of streets, the limit is {limit}; cut it to the study area",
            field="streets",
            limit=limit,
            asked=n,
        )


def _read(file: IO[bytes], folder: Path) -> _Layer:
    """Read the layer of a file, which is recognised by its first bytes."""
    first = file.read(FIRST_BYTES)
    file.seek(0)
    if first.startswith(SQLITE_MAGIC):
        return _geopackage(file, folder / "streets.gpkg")
    if first.startswith(b"PK\x03\x04"):
        return _layer(_unzipped(file, folder))
    if b"OSMHeader" in first:
        suffix, layer = ".osm.pbf", "lines"
    elif _OSM_XML.match(first):
        suffix, layer = ".osm", "lines"
    elif first.startswith(b"fgb"):
        suffix, layer = ".fgb", None
    elif first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        suffix, layer = ".geojson", None
    else:
        raise InvalidInput(
            "streets must be GeoJSON, a GeoPackage, FlatGeobuf, a zipped shapefile, .osm.pbf or .osm",
            field="streets",
            code="unsupported_media_type",
        )
    path = folder / f"streets{suffix}"
    write_file(path, chunks_of(file))
    return _layer(path, layer)


def _layer(path: Path, layer: str | None = None) -> _Layer:
    """Read a layer with GDAL: geometries, names, values of `highway`."""
    import pyogrio  # here, because API processes import this module's limits

    info = pyogrio.read_info(path, layer=layer, force_feature_count=False)
    fields = [str(one) for one in info["fields"]]
    name, highway = _columns(fields)
    wanted = [one for one in (name, highway) if one is not None]
    meta, _, wkb, values = pyogrio.raw.read(path, layer=layer, columns=wanted, force_2d=True)
    by_name = dict(zip([str(one) for one in meta["fields"]], values, strict=True))
    crs = meta["crs"]
    return _Layer(
        shapely.from_wkb(np.asarray(wkb, object), on_invalid="ignore"),
        None if name is None else by_name[name],
        None if highway is None else by_name[highway],
        None if crs is None else str(crs),
    )


def _columns(fields: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the columns of names and of OpenStreetMap's kind of road."""
    lowered = {one.lower(): one for one in reversed(fields)}
    name = next((lowered[one] for one in NAMES if one in lowered), None)
    return name, lowered.get("highway")


def _geopackage(file: IO[bytes], path: Path) -> _Layer:
    write_file(path, chunks_of(file))
    with closing(opened_package(path)) as package:
        fields, crs, rows = package.features(_columns)
        held = list(rows)
    _check(len(held), MAX_LINES, "features")
    wkb, name, highway = ([row[i] for row in held] for i in range(3))
    return _Layer(
        shapely.from_wkb(np.array(wkb, object), on_invalid="ignore"),
        None if fields[0] is None else name,
        None if fields[1] is None else highway,
        crs,
    )


def _unzipped(file: IO[bytes], folder: Path) -> Path:
    """Unpack the one shapefile of an archive."""
    with zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if not one.filename.startswith("__MACOSX/")]
        found = [one for one in members if one.filename.lower().endswith(".shp")]
        if len(found) != 1:
            raise InvalidInput(
                f"the archive has {len(found)} shapefiles, expected one", field="streets"
            )
        stem = str(PurePosixPath(found[0].filename).with_suffix("")).lower()
        for member in members:
            path = PurePosixPath(member.filename)
            suffix = path.suffix.lower()
            if suffix not in SHAPEFILE_PARTS or str(path.with_suffix("")).lower() != stem:
                continue
            _check(member.file_size, MAX_UNPACKED_BYTES, "bytes")
            with archive.open(member) as content:
                write_file(folder / f"streets{suffix}", chunks_of(content))
    shapefile = folder / "streets.shp"
    with shapefile.open("rb") as made:
        if made.read(len(SHAPEFILE_MAGIC)) != SHAPEFILE_MAGIC:
            raise InvalidInput("not a shapefile", field="streets", code="damaged")
    return shapefile


def _is_street(layer: _Layer) -> NDArray[np.bool_]:
    if layer.highway is None:
        return np.ones(len(layer.geometry), bool)
    return np.array([str(value) in ROADS for value in layer.highway], bool)


def _inside(
    geometry: NDArray[Any], crs: str | None, area: StudyArea
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the lines (L,) inside the study area, in its CRS, and the row that each is part of."""
    lines, row = shapely.get_parts(shapely.force_2d(geometry), return_index=True)
    move = transformer(crs or "EPSG:4326", area.crs)

    def projected(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(move.transform(xy[:, 0], xy[:, 1]))

    lines = shapely.transform(lines, projected)
    bounds = shapely.bounds(lines)
    near = np.isfinite(bounds).all(axis=1)
    lines, row = lines[near], row[near]
    polygon_m = prepared(area.polygon_m)
    met = shapely.intersects(polygon_m, lines)
    lines, row = lines[met], row[met]
    across = ~shapely.contains(polygon_m, lines)
    lines[across] = shapely.intersection(lines[across], area.polygon_m)
    parts, of = shapely.get_parts(lines, return_index=True)
    is_line = (shapely.get_type_id(parts) == _LINES[0]) & (shapely.length(parts) > 0)
    return parts[is_line], row[of[is_line]]


def _texts(values: Sequence[Any] | None, rows: NDArray[np.int64]) -> list[str | None]:
    """Return names without surrounding blanks; None where there is none."""
    if values is None:
        return [None] * len(rows)
    texts = (values[row] for row in rows.tolist())
    return [
        text.strip()[:MAX_NAME_CHARS] or None
        if isinstance(text, str) and "\x00" not in text
        else None
        for text in texts
    ]


def _block(lines_m: NDArray[Any], names: list[str | None], crs: str) -> dict[str, Any]:
    xy, of = shapely.get_coordinates(lines_m, return_index=True)
    longitude, latitude = to_degrees(xy[:, 0], xy[:, 1], crs)
    degrees = np.column_stack([normalised(longitude), latitude])
    whole = np.rint(degrees * 10**DEGREE_DECIMALS).astype(np.int64)
    return {
        "names": names,
        "sizes": np.bincount(of, minlength=len(lines_m)).tolist(),
        "places": whole.ravel().tolist(),
    }
