"""Bytes at random into the readers of uploads: rows, or an error that a caller can act on.

`python -m tests.support.inputs.parser_fuzz SECONDS` runs atheris (coverage-guided) where it is
installed, else plain mutations of good bodies; it prints the number of bodies and fails on any
exception that is no InvalidInput.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from app.core.errors import Conflict, InvalidInput
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import parse_block
from app.readers.blocks import ReadOptions
from app.readers.child import blocks_of
from app.readers.context import ReadContext
from app.readers.formats import EXCEL_TYPE, ZIP_TYPE
from app.readers.limits import ExpansionLimit
from app.readers.times.raw_columns import contract_columns
from app.readers.times.time_reader import TimeReader

NOW_S = 1_750_000_000
TIMEZONE = "America/Bogota"
OPTIONS = ReadOptions(n_rows=50, limit_chars=200, max_bytes=1 << 20)
_ROW = {
    "occurred_at": "2024-01-01T10:00:00Z",
    "longitude": -74.05,
    "latitude": 4.65,
    "category": "theft",
    "external_id": "a1",
}


def good_bodies() -> list[tuple[str, bytes]]:
    """(content type, body) that every reader takes."""
    csv = b"occurred_at,longitude,latitude,category\n2024-01-01T10:00:00Z,-74.05,4.65,theft\n"
    split = b"date;hour;long;lat;type\n2024-01-01;9;-74,05;4,65;robo\n"
    row = str(_ROW).replace("'", '"').encode()
    feature = (
        b'{"type":"FeatureCollection","features":[{"type":"Feature","id":1,"properties":'
        b'{"occurred_at":"2024-01-01T10:00:00"},"geometry":{"type":"Point",'
        b'"coordinates":[-74.05,4.65]}}]}'
    )
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_ROW]), parquet)
    return [
        ("text/csv", csv),
        ("text/csv", split),
        ("text/csv", "\ufeff".encode("utf-16") + csv.decode().encode("utf-16-le")),
        ("application/json", b"[" + row + b"," + row + b"]"),
        ("application/x-ndjson", row + b"\n" + row),
        ("application/geo+json", feature),
        ("application/vnd.apache.parquet", parquet.getvalue()),
        *_file_bodies(),
    ]


def _file_bodies() -> list[tuple[str, bytes]]:
    """A GeoParquet file, a GeoPackage, a zipped shapefile and a workbook of a few rows each."""
    frame = pd.DataFrame([_ROW] * 3)
    points = gpd.points_from_xy(frame["longitude"], frame["latitude"])
    places = gpd.GeoDataFrame(
        frame[["occurred_at", "category"]].rename(columns={"occurred_at": "date"}),
        geometry=points,
        crs="EPSG:4326",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame.to_excel(folder / "rows.xlsx", index=False)
        places.to_parquet(folder / "places.parquet")
        places.to_file(folder / "places.gpkg", engine="pyogrio")
        places.to_file(folder / "layer.shp", engine="pyogrio")
        with zipfile.ZipFile(folder / "layer.zip", "w") as archive:
            for part in folder.glob("layer.*"):
                if part.suffix != ".zip":
                    archive.write(part, part.name)
        return [
            ("application/vnd.apache.parquet", (folder / "places.parquet").read_bytes()),
            ("application/geopackage+sqlite3", (folder / "places.gpkg").read_bytes()),
            (ZIP_TYPE, (folder / "layer.zip").read_bytes()),
            (EXCEL_TYPE, (folder / "rows.xlsx").read_bytes()),
        ]


KINDS = sorted({kind for kind, _ in good_bodies()})


def parse(kind: str, body: bytes) -> int:
    """Accepted rows; a body that cannot be read counts none. Anything else raised is a fault.

    Runs the readers in this process, which a service never does (`app.readers.isolated`).
    """
    accepted = 0
    expansion = ExpansionLimit(OPTIONS.max_bytes, OPTIONS.max_expansion, len(body))
    try:
        for block in blocks_of(kind, io.BytesIO(body), ReadContext(OPTIONS, len(body), expansion)):
            errors = RowErrors(block.n_rows)
            columns = contract_columns(block.columns, block.plan)
            times = TimeReader(block.plan, TIMEZONE).read(block.columns)
            if times is not None:
                columns["occurred_at"] = times.values
                errors.add_times(times.refused)
            parsed = parse_block(
                columns, block.n_rows, timezone=TIMEZONE, now_s=NOW_S, area=None, errors=errors
            )
            accepted += len(parsed.row)
    except (Conflict, InvalidInput):
        return accepted
    return accepted


def one_input(data: bytes) -> None:
    """The first byte tells the reader, the rest is its body."""
    if data:
        parse(KINDS[data[0] % len(KINDS)], data[1:])


def mutated(body: bytes, rng: random.Random) -> bytes:
    """A body with some bytes changed, cut, doubled or moved."""
    changed = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(changed) + 1)
        span = slice(place, place + rng.randint(1, 8))
        match rng.randrange(5):
            case 0:
                changed[span] = b""
            case 1:
                changed[place:place] = rng.choice(_TOKENS)
            case 2:
                changed[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
            case 3:
                changed[place:place] = changed[span]
            case _:
                changed[span] = bytes(b ^ (1 << rng.randrange(8)) for b in changed[span])
    return bytes(changed)


def _is_archive(body: bytes) -> bool:
    return body.startswith(b"PK")


def repacked(body: bytes, rng: random.Random) -> bytes:
    """An archive one of whose members is mutated: its checksums are right, what it holds is not."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(packed, "w") as out:
        names = archive.namelist()
        hit = rng.choice(names)
        for name in names:
            content = archive.read(name)
            out.writestr(name, mutated(content, rng) if name == hit else content)
    return packed.getvalue()


_TOKENS = (
    b"NaN", b"1e999", b"-0", b"\x00", b'"', b"'", b",", b";", b"\n", b"\r", b"\xff\xfe", b"\\ud800",
    b"null", b"[", b"]", b"{", b"}", b"9" * 300, b"\\u0000", b"2024-02-30T25:61:61Z", b"0000-00-00",
    b"=1+1", b"+00", b"T24:00", b"x" * 300,
)  # fmt: skip


def mutate_for(seconds: float, seed: int = 0) -> int:
    """Mutate good bodies for a while; returns how many were parsed."""
    rng = random.Random(seed)
    bodies = good_bodies()
    done, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        kind, body = rng.choice(bodies)
        changed = (
            repacked(body, rng) if _is_archive(body) and rng.random() < 0.7 else mutated(body, rng)
        )
        parse(kind if rng.random() < 0.95 else rng.choice(KINDS), changed)
        done += 1
    return done


def fuzz_for(seconds: float) -> None:
    """Hand over to atheris, which ends the process."""
    import atheris

    counted = 0

    def counting(data: bytes) -> None:
        nonlocal counted
        counted += 1
        one_input(data)

    target: Callable[[bytes], None] = counting
    atheris.instrument_func(parse_block)
    atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", "-rss_limit_mb=4096"], target)
    atheris.Fuzz()


def main() -> None:
    """Fuzz for as many seconds as the first argument says."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    warnings.simplefilter("ignore")  # what GDAL thinks of broken files
    for kind, body in good_bodies():
        if parse(kind, body) < 1:
            raise AssertionError(f"a good body of {kind} was not taken")
    if find_spec("atheris") is None:
        print(f"atheris is not installed: {mutate_for(seconds)} mutated bodies, no fault")
        return
    print(f"{mutate_for(seconds / 2)} mutated bodies, no fault; atheris follows", flush=True)
    fuzz_for(seconds / 2)


if __name__ == "__main__":
    main()
