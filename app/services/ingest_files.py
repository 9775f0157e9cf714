"""Readers of formats whose index stands at the end: Parquet, Excel, GeoPackage.

Their bytes are spooled to a temporary file, never to memory, and read from there in blocks.
"""

from __future__ import annotations

import errno
import json
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from openpyxl.utils.exceptions import InvalidFileException
from pyproj import CRS

from app.domain.columns import ColumnMapping, ColumnPlan, plan_columns
from app.domain.errors import InvalidInput, LimitExceeded, Unavailable
from app.services.ingest_decoding import EXPANSION_FLOOR_BYTES
from app.services.ingest_readers import Block, ReadOptions

_SQLITE_MAGIC = b"SQLite format 3\x00"
_WGS84 = "OGC:CRS84"


_DAMAGE = (
    pa.ArrowException,
    zipfile.BadZipFile,
    zlib.error,
    InvalidFileException,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    UnboundLocalError,
    ValueError,
)
"""What the libraries that read these formats raise on damaged files.

`SyntaxError` is XML's, `RuntimeError` also GDAL's; `UnboundLocalError` is what reading a layer with a
broken projection ends in.
"""


_STRUCTURE = (pa.ArrowException, zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError)
"""Of these, what complains of a file's frame; the others' messages may repeat a cell's value."""

# What these libraries say of odd cells (a birth date before 1900, say) repeats the cell, and goes
# to standard error. Cython code has no module of its own there: warnings name whoever called it.
for _module in (r"openpyxl\.", r"pyogrio\.", r"app\.services\.ingest_files"):
    warnings.filterwarnings("ignore", module=_module)

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Anything that a reading library raises becomes `InvalidInput`.

    Raises:
        Unavailable: the disk is full.
        InvalidInput: the file is no readable `what`.
    """
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise Unavailable("the disk is full", retry_after_s=30, code="disk_full") from error
        told = str(error).splitlines()[:1] if isinstance(error, _STRUCTURE) else []
        shown = f": {told[0][:200]}" if told else ""
        raise InvalidInput(f"not a readable {what}{shown}", code="damaged") from error


@contextmanager
def spooled(chunks: Iterator[bytes]) -> Iterator[IO[bytes]]:
    """A temporary file with these bytes, at its start; gone after the block."""
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        yield file


def read_parquet(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of a Parquet file; GeoParquet's points stand for missing coordinates."""
    with damage_named("Parquet file"), spooled(chunks) as buffer:
        file = pq.ParquetFile(buffer)
        geometry, crs = _geo_column(file.schema_arrow)
        plan = _plan(file.schema_arrow.names, geometry, crs, options)
        wanted = _wanted(plan, file.schema_arrow.names, geometry)
        batches = file.iter_batches(batch_size=options.n_rows, columns=wanted)
        yield from _arrow_blocks(batches, geometry, plan)


def _geo_column(schema: pa.Schema) -> tuple[str | None, str | None]:
    """Name and CRS of the point column (GeoParquet 1.1), or None."""
    text = (schema.metadata or {}).get(b"geo")
    if text is None:
        return None, None
    try:
        told = json.loads(text)
        name = told["primary_column"]
        column = told["columns"][name]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("the GeoParquet header cannot be read", code="damaged") from error
    crs = column.get("crs", _WGS84)
    return name, CRS.from_json_dict(crs).to_wkt() if isinstance(crs, dict) else _WGS84


def _plan(
    names: Sequence[str], geometry: str | None, crs: str | None, options: ReadOptions
) -> ColumnPlan:
    """The plan of a file's columns; points stand for missing coordinates."""
    header = [name for name in names if name != geometry]
    mapping = options.mapping
    if geometry is not None:
        header += ["x", "y"]
        placed = {"x": "x", "y": "y"} if not {"x", "longitude"} & set(mapping.columns) else {}
        mapping = ColumnMapping(
            {**mapping.columns, **placed}, mapping.crs or crs, mapping.time_format
        )
    plan = plan_columns(header, mapping)
    plan.require_all(header)
    return plan


def _wanted(plan: ColumnPlan, names: Sequence[str], geometry: str | None) -> list[str]:
    """The columns to decode: what is about persons, or of no use, is not even unpacked."""
    used = {*plan.names.values(), geometry}
    return [name for name in names if name in used]


def _arrow_blocks(
    batches: Iterator[pa.RecordBatch], geometry: str | None, plan: ColumnPlan
) -> Iterator[Block]:
    for batch in batches:
        values: dict[str, Sequence[Any]] = {}
        if geometry is not None:
            points = shapely.from_wkb(batch.column(geometry).to_numpy(zero_copy_only=False))
            centre = shapely.get_coordinates(shapely.centroid(points))
            empty = shapely.is_empty(points) | shapely.is_missing(points)
            whole = np.full((len(points), 2), np.nan)
            whole[~empty] = centre
            values["x"], values["y"] = whole[:, 0].tolist(), whole[:, 1].tolist()
        for column in set(plan.names.values()) - values.keys():
            values[column] = _plain(batch.column(column))
        columns = {name: values[column] for name, column in plan.names.items()}
        yield Block(columns, batch.num_rows, {}, plan)


def _plain(values: pa.Array) -> Sequence[Any]:
    """Python values; timestamps become RFC 3339 text, local when they bear no zone."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    result: list[Any] = values.to_pylist()
    if pa.types.is_temporal(values.type):
        return [None if v is None else v.isoformat() for v in result]
    return result


def read_excel(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of the first sheet of an Excel workbook (.xlsx); its first row names the columns."""
    with damage_named(".xlsx file"), spooled(chunks) as file:
        with zipfile.ZipFile(file) as archive:
            check_sizes(archive.infolist(), options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # styles that openpyxl does not know
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        yield from _sheet_blocks(book.worksheets[0].iter_rows(values_only=True), options)


def _sheet_blocks(lines: Iterator[tuple[Any, ...]], options: ReadOptions) -> Iterator[Block]:
    header = [str(name) if name is not None else "" for name in next(lines, ())]
    plan = plan_columns(header, options.mapping)
    plan.require_all(header)
    place = {name: header.index(column) for name, column in plan.names.items()}
    columns: dict[str, list[Any]] = {name: [] for name in place}
    n_rows = 0
    for line in lines:
        if all(value is None for value in line):
            continue
        for name, i in place.items():
            columns[name].append(_cell(line[i]) if i < len(line) else None)
        n_rows += 1
        if n_rows == options.n_rows:
            yield Block(columns, n_rows, {}, plan)
            columns, n_rows = {name: [] for name in place}, 0
    if n_rows:
        yield Block(columns, n_rows, {}, plan)


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date | time) else value


def read_geopackage(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
    """Blocks of the first layer of a GeoPackage."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.gpkg"
        write_file(path, chunks)
        yield from layer_blocks(path, _SQLITE_MAGIC, options)


def write_file(path: Path, chunks: Iterator[bytes]) -> None:
    """Write chunks to a file."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def layer_blocks(path: Path, magic: bytes, options: ReadOptions) -> Iterator[Block]:
    """Blocks of a file whose driver is settled by its first bytes, not by what GDAL may guess."""
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise InvalidInput(f"not a {path.suffix} file", code="damaged")
    import pyogrio

    with damage_named(f"{path.suffix} file"):
        told = pyogrio.read_info(path)
        names = [str(name) for name in told["fields"]]
        geometry = (told["geometry_name"] or "wkb_geometry") if told["geometry_type"] else None
        plan = _plan(names, geometry, told["crs"], options)
        columns = _wanted(plan, names, None)
        with pyogrio.open_arrow(
            path, columns=columns, use_pyarrow=True, batch_size=options.n_rows
        ) as (_, stream):
            yield from _arrow_blocks(iter(stream), geometry, plan)


def check_sizes(members: Sequence[zipfile.ZipInfo], options: ReadOptions) -> None:
    """Refuse what would unfold too far; a member never gives more than its header says.

    Raises:
        LimitExceeded: over the limit of bytes, or of expansion.
    """
    size = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if size > options.max_bytes:
        raise LimitExceeded(
            f"unfolds to {size} bytes, the limit is {options.max_bytes}", code="too_large"
        )
    if size > max(EXPANSION_FLOOR_BYTES, options.max_expansion * packed):
        raise LimitExceeded(
            f"expands more than {options.max_expansion} times: not plausible for incidents",
            code="too_large",
        )
