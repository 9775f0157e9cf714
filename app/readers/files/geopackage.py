"""Read GeoPackages: the rows of plain tables, with SQLite alone.

A GeoPackage is an untrusted database: its views, triggers, virtual tables and generated columns are
programs. An authoriser refuses everything but reading the tables named here.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.blocks import Block, Blocks, ReadOptions
from app.readers.columns.plan import ColumnPlan
from app.readers.context import ReadContext, chunks_of, merged, write_file
from app.readers.damage import damage_as_invalid_input
from app.readers.files.office import WGS84, crs_name, file_plan, points_of
from app.readers.files.parts import Header, Part, chosen_parts
from app.readers.files.tables import Table
from app.readers.limits import too_long
from app.readers.reading import ASSUMPTIONS

MAGIC = b"SQLite format 3\x00"
BATCH_ROWS = 5_000
MAX_LAYERS = 100
MAX_VALUE_BYTES = 1 << 20
_CATALOGUE = ("gpkg_contents", "gpkg_geometry_columns", "gpkg_spatial_ref_sys")
_HEADER_BYTES = 8
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)
_KINDS = {"view": "a view", "virtual": "a virtual table"}
_ZONED = re.compile(r"(?:[Zz]|[+-]\d{2}:?\d{2})\s*$")


def read_geopackage(file: IO[bytes], context: ReadContext) -> Blocks:
    """Yield blocks of a GeoPackage's layers, plain tables that have the columns of its first one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.gpkg"
        write_file(path, chunks_of(file))
        with path.open("rb") as made:
            if made.read(len(MAGIC)) != MAGIC:
                raise InvalidInput("not a .gpkg file", code="damaged")
        with (
            damage_as_invalid_input(".gpkg file"),
            closing(opened_package(path)) as package,
        ):
            yield from merged(package.blocks(context), context.options.n_rows)


def opened_package(path: Path) -> _Package:
    """Open a GeoPackage; `close` closes it."""
    return _Package(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True))


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    is_key: bool


class _Package:
    """An open GeoPackage; statements may read only the tables in `readable`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        database.text_factory = _text
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        self.database = database
        self.readable = {self._table(name) for name in _CATALOGUE}
        database.set_authorizer(self._authorise)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def features(
        self, chosen: Callable[[Sequence[str]], Sequence[str | None]]
    ) -> tuple[Sequence[str | None], str | None, Iterator[tuple[Any, ...]]]:
        """Read the first layer that has geometries.

        Args:
            chosen: picks columns out of the names of all; None stands for a column without values.

        Returns:
            The picked columns, the CRS, and rows of WKB and the picked values.
        """
        layer, is_spatial = self._layers()[0]
        geometry, crs = self._geometry(layer) if is_spatial else (None, None)
        if geometry is None:
            raise InvalidInput("the GeoPackage has no layer with geometries", code="damaged")
        names = chosen([column.name for column in self._columns(layer)])
        wanted = list(dict.fromkeys([geometry, *(name for name in names if name is not None)]))
        places = [None if name is None else wanted.index(name) for name in names]

        def rows() -> Iterator[tuple[Any, ...]]:
            for block in self._rows(layer, wanted, BATCH_ROWS):
                for row in block:
                    picked = (None if place is None else row[place] for place in places)
                    yield (_wkb(row[0]), *picked)

        return names, crs, rows()

    def blocks(self, context: ReadContext) -> Iterator[Block]:
        options = context.options
        parts = [
            Part(name, partial(self._header, name, options, is_spatial=is_spatial), is_spatial)
            for name, is_spatial in self._layers()
        ]
        chosen = chosen_parts("layer", parts, options.mapping.part)
        for part, (_, _, plan) in chosen.parts:
            table = Table(
                options,
                {"format": "geopackage", "layer": part.name},
                chosen.not_read,
                chosen.assumptions,
            )
            yield from self._layer_blocks(part.name, plan, table, is_spatial=part.held)

    def _header(self, layer: str, options: ReadOptions, *, is_spatial: bool) -> Header:
        columns = self._columns(layer)
        geometry, crs = self._geometry(layer) if is_spatial else (None, None)
        names = [column.name for column in columns if not column.is_key]
        return 1, names, file_plan(names, geometry, crs, options)

    def _layer_blocks(
        self, layer: str, plan: ColumnPlan, table: Table, *, is_spatial: bool
    ) -> Iterator[Block]:
        geometry = self._geometry(layer)[0] if is_spatial else None
        limit_chars = table.options.limit_chars
        wanted = [c for c in self._columns(layer) if c.name in {*plan.names.values(), geometry}]
        times = [i for i, c in enumerate(wanted) if c.kind == "DATETIME" and c.name != geometry]
        is_first = True
        for rows in self._rows(layer, [c.name for c in wanted], table.options.n_rows):
            if is_first and times:
                plan = _with_zone_said(plan, [row[i] for row in rows for i in times])
            is_first = False
            values: dict[str, Sequence[Any]] = {}
            broken: dict[int, str] = {}
            no_place: dict[int, str] = {}
            for column, cells in zip(wanted, zip(*rows, strict=True), strict=True):
                if column.name == geometry:
                    values["x"], values["y"], no_place = points_of(_geometries(cells))
                else:
                    values.setdefault(column.name, _plain(cells, column.kind, limit_chars, broken))
            picked = {name: values[column] for name, column in plan.names.items()}
            used = no_place if plan.names.get("x") == "x" else {}
            yield table.block(plan, picked, len(rows), broken, used)

    def _layers(self) -> list[tuple[str, bool]]:
        """Names of the layers, and whether they have geometries; those with them come first."""
        found = self.database.execute(
            "SELECT table_name, data_type FROM gpkg_contents "
            "WHERE data_type IN ('features', 'attributes') ORDER BY data_type DESC, rowid"
        ).fetchmany(MAX_LAYERS)
        layers = [(name, kind == "features") for name, kind in found if isinstance(name, str)]
        if not layers:
            raise InvalidInput("the GeoPackage has no layer of features", code="damaged")
        return layers

    def _table(self, name: str) -> str:
        """Return the schema's name of a plain table; views would run the sender's SQL."""
        found = self.database.execute(
            "SELECT type, name FROM pragma_table_list "
            "WHERE schema = 'main' AND name = ? COLLATE NOCASE",
            (name,),
        ).fetchone()
        if found is None or found[0] != "table":
            kind = "missing" if found is None else _KINDS.get(found[0], "not a plain table")
            raise InvalidInput(
                f"{shortened(name)} is {kind}: only plain tables of a GeoPackage are read",
                code="damaged",
            )
        return str(found[1])

    def _columns(self, layer: str) -> list[_Column]:
        """Return the columns of a layer after checking that it is a plain table."""
        self.database.set_authorizer(None)
        name = self._table(layer)
        columns = self.database.execute(
            "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)", (layer,)
        ).fetchall()
        self.readable.add(name)
        self.database.set_authorizer(self._authorise)
        if any(hidden for _, _, _, hidden in columns):
            raise InvalidInput(
                "generated columns of a GeoPackage are not supported", code="damaged"
            )
        return [_Column(str(n), str(kind).upper(), bool(key)) for n, kind, key, _ in columns]

    def _geometry(self, layer: str) -> tuple[str | None, str | None]:
        """Return the column and CRS of a layer's geometries."""
        found = self.database.execute(
            "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        if found is None:
            return None, None
        system = self.database.execute(
            "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys "
            "WHERE srs_id = ?",
            (found[1],),
        ).fetchone()
        return str(found[0]), _crs(system)

    def _rows(self, layer: str, names: Sequence[str], n_rows: int) -> Iterator[list[Any]]:
        listed = ", ".join(map(_quoted, names))
        cursor = self.database.execute(f"SELECT {listed} FROM {_quoted(layer)}")  # noqa: S608
        while rows := cursor.fetchmany(min(n_rows, BATCH_ROWS)):
            yield rows

    def _authorise(
        self,
        action: int,
        table: str | None,
        _column: str | None,
        _db: str | None,
        source: str | None,
    ) -> int:
        """Allow statements that read plain tables, and nothing from inside views or triggers."""
        if action == sqlite3.SQLITE_SELECT and source is None:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and source is None and table in self.readable:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


def _crs(system: Sequence[Any] | None) -> str | None:
    """Return the CRS of a row of `gpkg_spatial_ref_sys`, or None if undefined."""
    if system is None or str(system[2]).lower() == "undefined":
        return None
    organisation, number, definition = system
    if isinstance(organisation, str) and organisation.upper() == "EPSG":
        return WGS84 if number == 4326 else f"EPSG:{int(number)}"
    return crs_name(CRS.from_wkt(str(definition)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(raw: bytes) -> Any:
    """Decode UTF-8 text; anything else stays bytes, which no field accepts."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _geometries(cells: Sequence[Any]) -> NDArray[Any]:
    found = np.empty(len(cells), object)
    found[:] = [_wkb(cell) for cell in cells]
    return found


def _wkb(value: Any) -> bytes | None:
    """Return the WKB behind a GeoPackage header (OGC 12-128r19, 2.1.3), or None if empty."""
    if not isinstance(value, bytes) or len(value) <= _HEADER_BYTES or value[:2] != b"GP":
        return None
    flags = value[3]
    is_empty, is_extended, envelope = flags & 0x10, flags & 0x20, flags >> 1 & 7
    if is_empty or is_extended or envelope >= len(_ENVELOPE_BYTES):
        return None
    return value[_HEADER_BYTES + _ENVELOPE_BYTES[envelope] :]


def _with_zone_said(plan: ColumnPlan, times: Sequence[Any]) -> ColumnPlan:
    """Say what the layer's times are taken for: the format has only UTC, most writers local times."""
    texts = [text for text in times if isinstance(text, str) and text.strip()]
    if plan.reading.zone is not None or not texts:
        return plan
    code = "states_utc" if any(_ZONED.search(text) for text in texts) else "wall_times"
    said = (*plan.reading.assumptions, ASSUMPTIONS.make(code))
    return replace(plan, reading=replace(plan.reading, assumptions=said))


def _plain(
    cells: Sequence[Any], kind: str, limit_chars: int, broken: dict[int, str]
) -> Sequence[Any]:
    """Return contract values; texts too long are noted as broken."""
    values = list(cells)
    for place, value in enumerate(values):
        if isinstance(value, str):
            if len(value) > limit_chars:
                broken[place], values[place] = too_long(limit_chars), None
        elif kind == "BOOLEAN" and isinstance(value, int):
            values[place] = bool(value)
    return values
