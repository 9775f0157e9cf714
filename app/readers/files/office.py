"""Read Parquet files and shapefiles through Arrow, in blocks of rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from app.core.errors import InvalidInput
from app.readers.blocks import Block, Blocks, ReadOptions
from app.readers.columns.plan import ColumnPlan, plan_columns
from app.readers.context import ReadContext, merged
from app.readers.damage import damage_as_invalid_input
from app.readers.files.tables import Table
from app.readers.limits import check_columns, check_rows, too_long
from app.readers.times.clocks import hours_text

SHAPEFILE_MAGIC = b"\x00\x00\x27\x0a"
WGS84 = "OGC:CRS84"
_POINT, _MULTIPOINT = 0, 4
BATCH_ROWS = 5_000
"""Rows decoded at once: 20,000 rows of long texts would need too much memory."""


def read_parquet(file: IO[bytes], context: ReadContext) -> Blocks:
    """Yield blocks of a Parquet file; GeoParquet points replace missing coordinates."""
    options = context.options
    with damage_as_invalid_input("Parquet file"):
        table = pq.ParquetFile(file, pre_buffer=False)
        check_rows(table.metadata.num_rows, context.sent_bytes, options.max_rows)
        schema = table.schema_arrow
        geometry, crs = _geo_column(schema)
        names = [*schema.names, *_struct_fields(schema)]
        plan = file_plan(names, geometry, crs, options)
        wanted = [n for n in _wanted(plan, names, geometry) if not _is_nested(schema, n)]
        context.expansion.add(_unpacked_bytes(table.metadata, wanted))
        size = min(options.n_rows, BATCH_ROWS)
        batches = table.iter_batches(batch_size=size, columns=wanted, use_threads=False)
        made = Table(options, {"format": "parquet"})
        yield from merged(_arrow_blocks(batches, geometry, plan, made), options.n_rows)


def _struct_fields(schema: pa.Schema) -> list[str]:
    """Return `a.b` for each plain field of a column of structs."""
    return [
        f"{column.name}.{inner.name}"
        for column in schema
        if pa.types.is_struct(column.type)
        for inner in column.type
        if not pa.types.is_nested(inner.type)
    ]


def _is_nested(schema: pa.Schema, name: str) -> bool:
    kinds = [schema.field(i).type for i in schema.get_all_field_indices(name)]
    return any(pa.types.is_nested(kind) for kind in kinds)


def _unpacked_bytes(metadata: pq.FileMetaData, wanted: Sequence[str]) -> int:
    """Return the declared unpacked size of the wanted columns; the memory limit bounds the real one."""
    total = 0
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        chunks = (group.column(j) for j in range(group.num_columns))
        total += sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in wanted)
    return total


def _geo_column(schema: pa.Schema) -> tuple[str | None, str | None]:
    """Name and CRS of the point column (GeoParquet 1.1), or None."""
    text = (schema.metadata or {}).get(b"geo")
    if text is None:
        return None, None
    try:
        header = json.loads(text)
        name = header["primary_column"]
        column = header["columns"][name]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("the GeoParquet header cannot be read", code="damaged") from error
    crs = column.get("crs", WGS84)
    return name, crs_name(CRS.from_json_dict(crs)) if isinstance(crs, dict) else WGS84


def crs_name(crs: CRS) -> str:
    """Return `EPSG:...` if the CRS matches exactly, else its definition."""
    number = crs.to_epsg(min_confidence=100)
    return crs.to_wkt() if number is None else f"EPSG:{number}"


def file_plan(
    names: Sequence[str], geometry: str | None, crs: str | None, options: ReadOptions
) -> ColumnPlan:
    """Plan a file's columns; points replace missing coordinates."""
    header = [name for name in names if name != geometry]
    check_columns(header)
    mapping = options.mapping
    if geometry is not None:
        header += ["x", "y"]
        placed = {"x": "x", "y": "y"} if not {"x", "longitude"} & set(mapping.columns) else {}
        mapping = replace(mapping, columns={**mapping.columns, **placed})
    plan = plan_columns(header, mapping)
    plan.require_all(header)
    if geometry is not None and mapping.crs is None and crs is not None:
        plan = replace(plan, crs=crs, reading=replace(plan.reading, crs=crs))
    return plan


def _wanted(plan: ColumnPlan, names: Sequence[str], geometry: str | None) -> list[str]:
    """Return the columns to decode; personal and unused ones are not even unpacked."""
    used = {*plan.names.values(), geometry}
    return [name for name in names if name in used]


def _arrow_blocks(
    batches: Iterable[pa.RecordBatch], geometry: str | None, plan: ColumnPlan, table: Table
) -> Iterator[Block]:
    for batch in batches:
        values: dict[str, Sequence[Any]] = {}
        broken: dict[int, str] = {}
        no_place: dict[int, str] = {}
        if geometry is not None:
            wkb = batch.column(geometry).to_numpy(zero_copy_only=False)
            values["x"], values["y"], no_place = points_of(wkb)
        for column in set(plan.names.values()) - values.keys():
            values[column] = _plain(batch, column, table.options.limit_chars, broken)
        columns = {name: values[column] for name, column in plan.names.items()}
        used = no_place if plan.names.get("x") == "x" else {}
        yield table.block(plan, columns, batch.num_rows, broken, used)


def points_of(wkb: NDArray[Any]) -> tuple[list[float], list[float], dict[int, str]]:
    """Return x and y of points, NaN where there is none, and why, by position."""
    found = shapely.from_wkb(wkb, on_invalid="ignore")
    kinds, n_parts = shapely.get_type_id(found), shapely.get_num_geometries(found)
    empty = shapely.is_empty(found) | shapely.is_missing(found)
    is_point = ~empty & ((kinds == _POINT) | ((kinds == _MULTIPOINT) & (n_parts == 1)))
    whole = np.full((len(found), 2), np.nan)
    whole[is_point] = shapely.get_coordinates(found[is_point])
    without = {
        int(row): "no place: the geometry is missing or empty"
        if empty[row]
        else f"no place: the geometry is a {found[row].geom_type}, only points are read"
        for row in np.flatnonzero(~is_point)
    }
    return whole[:, 0].tolist(), whole[:, 1].tolist(), without


def _plain(
    batch: pa.RecordBatch, name: str, limit_chars: int, broken: dict[int, str]
) -> Sequence[Any]:
    """Return Python values; timestamps become RFC 3339 text, local if they have no zone.

    Nested values are not read; an empty object replaces them. Overlong texts are not created.
    """
    values = _column(batch, name)
    if values is None:
        return [{}] * batch.num_rows
    if pa.types.is_dictionary(values.type):
        # Decode each text once: long texts may be shared by every row.
        names = [*_texts(values.dictionary, limit_chars), None]
        codes = values.indices.fill_null(len(names) - 1).to_pylist()
        result: list[Any] = [names[code] for code in codes]
    else:
        result = _texts(values, limit_chars)
    broken.update((i, too_long(limit_chars)) for i, v in enumerate(result) if v is _TOO_LONG)
    if pa.types.is_temporal(values.type):
        return [
            None if v is None else hours_text(v) if isinstance(v, timedelta) else v.isoformat()
            for v in result
        ]
    return [None if v is _TOO_LONG else v for v in result]


def _column(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """Return a column, or the field of a column of structs (`a.b`); None if it was not read."""
    if name in batch.schema.names:
        return batch.column(name)
    parent, _, inner = name.rpartition(".")
    if parent not in batch.schema.names:
        return None
    return pc.struct_field(batch.column(parent), inner)


_TOO_LONG = object()


def _texts(values: pa.Array, limit_chars: int) -> list[Any]:
    """Return Python values, with a marker for texts that may be longer than the limit."""
    kind = values.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return list(values.to_pylist())
    # A character has at most four bytes.
    long = pc.greater(pc.binary_length(values), 4 * limit_chars).fill_null(False)
    result: list[Any] = pc.if_else(long, None, values).to_pylist()
    for i in np.flatnonzero(long.to_numpy(zero_copy_only=False)):
        result[i] = _TOO_LONG
    return [_TOO_LONG if isinstance(v, str) and len(v) > limit_chars else v for v in result]


def layer_blocks(path: Path, magic: bytes, context: ReadContext) -> Blocks:
    """Yield blocks of a file whose driver is fixed by its first bytes, not guessed by GDAL."""
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise InvalidInput(f"not a {path.suffix} file", code="damaged")
    import pyogrio

    options = context.options
    with damage_as_invalid_input(f"{path.suffix} file"):
        info = pyogrio.read_info(path)
        names = [str(name) for name in info["fields"]]
        geometry = (info["geometry_name"] or "wkb_geometry") if info["geometry_type"] else None
        plan = file_plan(names, geometry, info["crs"], options)
        columns = _wanted(plan, names, None)
        with pyogrio.open_arrow(
            path, columns=columns, use_pyarrow=True, batch_size=min(options.n_rows, BATCH_ROWS)
        ) as (_, stream):
            table = Table(options, {"format": "shapefile", "encoding": info.get("encoding")})
            blocks = _arrow_blocks(iter(stream), geometry, plan, table)
            yield from merged(blocks, options.n_rows)
