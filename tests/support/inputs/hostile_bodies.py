"""Bodies that are small and unfold into much: one of each kind for every format, and mutations of them.

Most are refused by their ratio alone; each is there again with noise that brings the ratio down to one
which is allowed.
"""

from __future__ import annotations

import io
import os
import random
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.readers.formats import EXCEL_TYPE, ZIP_TYPE
from tests.support.inputs.hostile_excel import excel_bodies

PARQUET = "application/vnd.apache.parquet"
GEOPACKAGE = "application/geopackage+sqlite3"
NDJSON = "application/x-ndjson"
CSV_HEADER = b"occurred_at,longitude,latitude\n"
ROW = {"occurred_at": "2024-01-01T10:00:00Z", "longitude": -74.05, "latitude": 4.65}
_ROW_JSON = '{"occurred_at":"2024-01-01T10:00:00Z","longitude":-74.05,"latitude":4.65'
_PAGE = 4096
_ALLOWED_RATIO = 90


@dataclass(frozen=True)
class Hostile:
    """A body, and how it is declared."""

    name: str
    content_type: str
    body: bytes
    encoding: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """As sent."""
        coding = {} if self.encoding is None else {"Content-Encoding": self.encoding}
        return {"Content-Type": self.content_type, **coding}


def hostile_bodies(scale: float = 1.0) -> Iterator[Hostile]:
    """Every kind; `scale` 1 gives those of the adversary's report, less gives smaller ones."""
    for name, body in parquet_bodies(scale):
        yield Hostile(f"parquet: {name}", PARQUET, body)
        yield Hostile(f"parquet, padded: {name}", PARQUET, _parquet_with_noise(body))
    for name, body in excel_bodies(scale):
        yield Hostile(f"excel: {name}", EXCEL_TYPE, body)
        yield Hostile(f"excel, padded: {name}", EXCEL_TYPE, with_noise(body))
    for name, body in geopackage_bodies(scale):
        yield Hostile(f"geopackage: {name}", GEOPACKAGE, body)
    for name, kind, text in text_bodies(scale):
        yield Hostile(f"text: {name}", kind, gzipped(text, b""), "gzip")
        yield Hostile(f"text, padded: {name}", kind, gzipped(text, noise(len(text))), "gzip")
    for name, body in archive_bodies(scale):
        yield Hostile(f"zip: {name}", ZIP_TYPE, body)
        yield Hostile(f"zip, padded: {name}", ZIP_TYPE, with_noise(body))


def noise(unfolded: int) -> bytes:
    """So many bytes that what unfolds to `unfolded` has a ratio that is allowed."""
    return os.urandom(unfolded // _ALLOWED_RATIO).replace(b"\0", b"\1")


def gzipped(text: bytes, name: bytes) -> bytes:
    """A gzip file of this name, which a reader skips."""
    packed = zlib.compress(text, 9)[2:-4]
    end = struct.pack("<2I", zlib.crc32(text), len(text) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + name + b"\0" + packed + end


def with_noise(archive: bytes) -> bytes:
    """The archive with a member that nobody reads."""
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as changed:
        size = sum(member.file_size for member in changed.infolist())
        changed.writestr("noise.bin", noise(size))
    return out.getvalue()


def _parquet_with_noise(body: bytes) -> bytes:
    """The same columns, with metadata that nobody reads."""
    found = pq.read_metadata(io.BytesIO(body))
    groups = (found.row_group(i) for i in range(found.num_row_groups))
    size = max(sum(group.total_byte_size for group in groups), 50 * found.num_rows)
    table = pq.read_table(io.BytesIO(body))
    out = io.BytesIO()
    noisy = table.replace_schema_metadata({"noise": noise(size)})
    pq.write_table(noisy, out, compression="zstd", compression_level=9)
    return out.getvalue()


def parquet_bodies(scale: float) -> Iterator[tuple[str, bytes]]:
    """Long texts, many rows, many values, many columns, all from a few kB."""
    yield "one long text", _parquet({**_columns(1), "category": ["x" * int(600e6 * scale)]})
    yield "equal rows", _parquet(_columns(int(600_000 * scale) + 60_000))
    names = pa.array(["y" * 1_000_000]).dictionary_encode()
    codes = pa.DictionaryArray.from_arrays(pa.array([0] * 40_000, pa.int32()), names.dictionary)
    yield "one long text in each row", _parquet({**_columns(40_000), "category": codes})
    nested = pa.ListArray.from_arrays([0, 10_000_000], pa.nulls(10_000_000, pa.int8()).fill_null(0))
    yield "a long list", _parquet({**_columns(1), "category": nested})
    many = {f"c{i}": [1] for i in range(int(20_000 * scale) + 3_000)}
    yield "many columns", _parquet({**_columns(1), **many})


def _columns(n: int) -> dict[str, pa.Array]:
    return {name: pa.array([value]).take(pa.nulls(n, pa.int64()).fill_null(0))
            for name, value in ROW.items()}  # fmt: skip


def _parquet(columns: dict[str, object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd", compression_level=9)
    return out.getvalue()


def geopackage_bodies(scale: float) -> Iterator[tuple[str, bytes]]:
    """Layers that are programs: views, generated columns, virtual tables; and a tree with cycles."""
    parts = (
        "'2024-01-01T10:00:00Z' AS occurred_at, -74.05 + n * 1e-6 AS longitude, 4.65 AS latitude"
    )
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r {}) SELECT {} FROM r"
    yield "endless view", _geopackage(f"CREATE VIEW layer AS {endless.format('', parts)}")
    view = endless.format(f"WHERE n < {int(300_000 * scale) + 60_000}", parts)
    yield "long view", _geopackage(f"CREATE VIEW layer AS {view}")
    plain = "CREATE TABLE layer (occurred_at TEXT, longitude REAL, latitude REAL{})"
    rows = (
        "INSERT INTO layer (occurred_at, longitude, latitude) "
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {}) "
        "SELECT '2024-01-01T10:00:00Z', -74.05, 4.65 FROM r"
    )
    generated = plain.format(", category TEXT AS (hex(zeroblob(100000000))) VIRTUAL")
    yield "generated column", _geopackage(generated, rows.format(100))
    yield (
        "long default",
        _geopackage(
            plain.format(""),
            rows.format(20_000),
            f"ALTER TABLE layer ADD COLUMN category TEXT DEFAULT '{'x' * 900_000}'",
        ),
    )
    yield (
        "virtual table",
        _geopackage("CREATE VIRTUAL TABLE layer USING rtree(occurred_at, longitude, latitude)"),
    )
    catalogue = "CREATE VIEW gpkg_contents AS " + endless.format("", "'t' AS table_name, n AS d")
    yield "catalogue of views", _geopackage("DROP TABLE gpkg_contents", catalogue)
    yield "tree with cycles", cyclic(_geopackage(plain.format(""), rows.format(60_000)))


def _geopackage(*statements: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.gpkg"
        database = sqlite3.connect(path)
        database.executescript(
            "CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT);"
            "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INT);"
            "CREATE TABLE gpkg_spatial_ref_sys (srs_id INT, organization TEXT, "
            "organization_coordsys_id INT, definition TEXT);"
            "INSERT INTO gpkg_contents VALUES ('layer', 'attributes');" + ";".join(statements)
        )
        database.close()
        return path.read_bytes()


def cyclic(package: bytes) -> bytes:
    """The package with each inner page pointing to one child again and again."""
    changed = bytearray(package)
    for start in range(_PAGE, len(changed), _PAGE):
        if changed[start] == 5:  # an inner page of a table
            n_cells = struct.unpack_from(">H", changed, start + 3)[0]
            places = [
                start + struct.unpack_from(">H", changed, start + 12 + 2 * i)[0]
                for i in range(n_cells)
            ]
            child = bytes(changed[places[0] : places[0] + 4])
            for place in places:
                changed[place : place + 4] = child
    return bytes(changed)


def text_bodies(scale: float) -> Iterator[tuple[str, str, bytes]]:
    """Text whose values take far more memory, or processor time, than its characters."""
    many = b"[" + b",".join([b"[]"] * 300_000) + b"]"
    n_rows = int(60 * scale) + 4
    yield "rows of empty arrays", NDJSON, b"\n".join([many] * n_rows)
    yield "array of them", "application/json", b"[" + b",".join([many] * n_rows) + b"]"
    inside = f'{_ROW_JSON},"category":'.encode() + many + b"}"
    yield "empty arrays inside", NDJSON, b"\n".join([inside] * n_rows)
    deep = f'{_ROW_JSON},"category":'.encode() + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield "nested", NDJSON, b"\n".join([deep] * n_rows)
    yield "array of nested", "application/json", b"[" + b",".join([deep] * n_rows) + b"]"
    coordinates = b'{"type":"Feature","geometry":{"type":"Point","coordinates":' + many + b"}}"
    collection = b'{"features":[' + b",".join([coordinates] * n_rows) + b"]}"
    yield "features", "application/geo+json", collection
    keys = [
        "{" + ",".join(f'"k{row}x{i}":1' for i in range(1_000)) + "}" for row in range(n_rows * 50)
    ]
    yield "names", NDJSON, "\n".join(keys).encode()
    wide = CSV_HEADER.strip() + b"," * 300_000 + b"\n"
    yield "wide header", "text/csv", wide + b"x\n" * int(2_000_000 * scale + 20_000)
    commas = CSV_HEADER + (b"," * 1_000_000 + b"\n") * n_rows
    yield "commas", "text/csv", commas
    yield "breaks", "text/csv", CSV_HEADER + b"\n" * int(50e6 * scale)
    yield "blanks", "application/json", b"[" + b" " * int(50e6 * scale) + b"]"
    equal = CSV_HEADER + b"2024-01-01T10:00:00Z,-74.05,4.65\n" * int(200_000 * scale + 60_000)
    yield "equal rows", "text/csv", equal


def archive_bodies(scale: float) -> Iterator[tuple[str, bytes]]:
    """Archives in archives, of many members, of members that are the same bytes."""
    body = CSV_HEADER + b"2024-01-01T10:00:00Z,-74.05,4.65\n" * int(400_000 * scale + 10_000)
    inner = _zipped({"a.csv": body})
    yield "zip in zip", _zipped({"a.zip": inner})
    yield "one bomb", inner
    yield "many members", _zipped({f"{i}.csv": b"" for i in range(int(60_000 * scale) + 2_000)})
    yield "overlapping members", overlapping(body, 500)
    books = {f"{i}.xlsx": book for i, (_, book) in enumerate(excel_bodies(scale / 4))}
    yield "workbooks", _zipped(books)
    packages = {f"{i}.gpkg": made for i, (_, made) in enumerate(geopackage_bodies(scale / 4))}
    yield "packages", _zipped(packages)
    tables = {f"{i}.parquet": made for i, (_, made) in enumerate(parquet_bodies(scale / 4))}
    yield "tables", _zipped(tables)


def _zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def overlapping(content: bytes, n_members: int) -> bytes:
    """An archive whose directory names one compressed member many times."""
    packed = zlib.compress(content, 9)[2:-4]
    size = (zlib.crc32(content), len(packed), len(content))
    name = b"0000.csv"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, *size, len(name), 0) + name + packed
    entry = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, *size, len(name), 0, 0, 0, 0, 0, 0
    )
    directory = (entry + name) * n_members
    end = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, n_members, n_members, len(directory), len(local), 0
    )
    return local + directory + end


def mutations(bodies: list[Hostile], n: int, rng: random.Random) -> Iterator[Hostile]:
    """Hostile bodies with a few bytes changed: lengths and counts that lie in new ways."""
    for _ in range(n):
        chosen = rng.choice(bodies)
        changed = bytearray(chosen.body)
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield Hostile(chosen.name, chosen.content_type, bytes(changed), chosen.encoding)
