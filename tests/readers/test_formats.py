"""Every format says the same: rows sent in one add nothing when sent again in another."""

import gzip
import io
import zipfile
from datetime import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from app.core.errors import InvalidInput, LimitExceeded
from app.incidents.service import UploadSource, ingest, ingest_file
from app.readers.formats import EXCEL_TYPE
from app.regions.service import add_region

N_ROWS = 120


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    minutes = rng.integers(0, 300 * 24 * 60, N_ROWS)
    return pd.DataFrame(
        {
            "occurred_at": pd.Timestamp("2023-01-01") + pd.to_timedelta(minutes, unit="min"),
            "longitude": (-123.1 + 0.05 * rng.random(N_ROWS)).round(6),
            "latitude": (49.25 + 0.05 * rng.random(N_ROWS)).round(6),
            "category": rng.choice(["theft", "robo é"], N_ROWS),
        }
    ).drop_duplicates()


@pytest.fixture(scope="module")
def points(frame) -> gpd.GeoDataFrame:
    geometry = gpd.points_from_xy(frame["longitude"], frame["latitude"], crs="EPSG:4326")
    return gpd.GeoDataFrame(frame[["occurred_at", "category"]], geometry=geometry)


@pytest.fixture(scope="module")
def region(engine, settings, frame) -> str:
    made = add_region(engine, "formats", timezone="America/Vancouver").id
    body = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S").encode()
    assert send(engine, settings, made, body, "text/csv").accepted == len(frame)
    return made


def send(engine, settings, region, body, content_type, **more):
    small = settings.model_copy(update={"upload_chunk_rows": 50})
    chunks = [body[i : i + 1000] for i in range(0, len(body), 1000)]
    return ingest(engine, region, chunks, UploadSource(content_type, **more), settings=small)


def workbook(frame) -> bytes:
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False)
    return buffer.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def written(points, tmp_path, name, **options) -> bytes:
    points.to_file(tmp_path / name, **options)
    return (tmp_path / name).read_bytes()


def in_utc(points) -> gpd.GeoDataFrame:
    """A GeoPackage's times are UTC (OGC 12-128r19, table 1)."""
    aware = points["occurred_at"].dt.tz_localize("America/Vancouver").dt.tz_convert("UTC")
    return points.assign(occurred_at=aware)


def shapefile(points, tmp_path) -> bytes:
    # A shapefile's own dates have no time of day: portals write it as text.
    named = points.rename(columns={"occurred_at": "datetime"})
    named["datetime"] = named["datetime"].dt.strftime("%Y-%m-%d %H:%M:%S")
    named.to_crs("EPSG:26910").to_file(tmp_path / "crime.shp", encoding="utf-8")
    parts = {f"data/{p.name}": p.read_bytes() for p in tmp_path.glob("crime.*")}
    return archive({**parts, "__MACOSX/crime.csv": b"x", "data/readme.pdf": b"x"})


def geoparquet(points) -> bytes:
    buffer = io.BytesIO()
    points.to_crs("EPSG:26910").to_parquet(buffer)
    return buffer.getvalue()


def bodies(frame, points, tmp_path):
    text = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S")
    stamped = frame.assign(occurred_at=frame["occurred_at"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    return {
        "tsv": ("text/tab-separated-values", text.replace(",", "\t").encode()),
        "cp1252": ("text/csv", text.encode("cp1252")),
        "json": ("application/json", stamped.to_json(orient="records").encode()),
        "ndjson": ("application/x-ndjson", stamped.to_json(orient="records", lines=True).encode()),
        "parquet": ("application/vnd.apache.parquet", parquet.getvalue()),
        "geoparquet": ("application/vnd.apache.parquet", geoparquet(points)),
        "excel": (EXCEL_TYPE, workbook(frame)),
        "gpkg": (
            "application/geopackage+sqlite3",
            written(in_utc(points).to_crs("EPSG:26910"), tmp_path, "a.gpkg", driver="GPKG"),
        ),
        "zipped csv": ("application/zip", archive({"x/crime.csv": text.encode()})),
        "zipped excel": ("application/zip", archive({"crime.xlsx": workbook(frame)})),
        "shapefile": ("application/zip", shapefile(points, tmp_path)),
    }


KINDS = ("tsv", "cp1252", "json", "ndjson", "parquet", "geoparquet", "excel", "gpkg", "zipped csv",
         "zipped excel", "shapefile")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_holds_the_same_incidents(
    engine, settings, region, frame, points, tmp_path, kind
):
    content_type, body = bodies(frame, points, tmp_path)[kind]
    summary = send(engine, settings, region, body, content_type)
    # Coordinates that went through a projection come back within 1e-8 degrees: the same key.
    assert (summary.received, summary.duplicates) == (len(frame), len(frame)), summary


def test_the_command_line_tells_formats_by_their_names(engine, settings, region, frame, tmp_path):
    text = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S").encode()
    files = {
        "a.csv.gz": gzip.compress(text),
        "b.zip": archive({"c.csv": text}),
        "d.xlsx": workbook(frame),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        summary = ingest_file(engine, region, tmp_path / name, settings=settings)
        assert summary.duplicates == len(frame), name


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        (EXCEL_TYPE, b"PK\x03\x04 no workbook", "damaged"),
        (EXCEL_TYPE, archive({"a.txt": b"x"}), "damaged"),
        ("application/geopackage+sqlite3", b"<VRTDataset/>", "damaged"),
        ("application/geopackage+sqlite3", b"SQLite format 3\x00 and no more", "damaged"),
        ("application/zip", b"no archive", "damaged"),
        ("application/zip", archive({"a.csv": b"x", "b.json": b"[]"}), "archive"),
        ("application/zip", archive({f"{n}.csv": b"" for n in range(1001)}), "archive"),
        ("application/zip", archive({"a.pdf": b"x"}), "archive"),
        ("application/zip", archive({"a.zip": archive({"b.zip": b"x"})}), "archive"),
        ("application/zip", archive({"a.shp": b"no shapefile", "a.dbf": b""}), "damaged"),
        ("application/vnd.apache.parquet", b"PAR1 and no more", "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(engine, settings, region, content_type, body, code):
    with pytest.raises(InvalidInput) as caught:
        send(engine, settings, region, body, content_type)
    assert caught.value.code == code


def test_an_archive_of_many_files_is_read_whole_or_not_at_all(engine, settings, region, frame):
    half = len(frame) // 2
    parts = {
        f"2024-0{n}/part.csv": part.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S").encode()
        for n, part in ((2, frame[half:]), (1, frame[:half]))
    }
    summary = send(engine, settings, region, archive(parts), "application/zip")
    assert (summary.received, summary.duplicates) == (len(frame), len(frame))
    parts["2024-03/part.csv"] = b"when,where\n"
    with pytest.raises(InvalidInput, match=r"2024-03/part\.csv: "):
        send(engine, settings, region, archive(parts), "application/zip")


def test_a_zip_bomb_is_refused_before_it_unfolds(engine, settings, region):
    bomb = archive({"a.csv": b"occurred_at,longitude,latitude\n" + b"0" * (40 << 20)})
    assert len(bomb) < 100_000
    with pytest.raises(LimitExceeded, match="expands"):
        send(engine, settings, region, bomb, "application/zip")
    with pytest.raises(LimitExceeded, match="expands"):
        send(engine, settings, region, bomb, EXCEL_TYPE)


def test_a_shapefile_from_a_hostile_archive_stays_in_its_folder(
    engine, settings, region, points, tmp_path
):
    good = zipfile.ZipFile(io.BytesIO(shapefile(points, tmp_path)))
    members = {f"../../{n.split('/')[-1]}": good.read(n) for n in good.namelist() if "crime." in n}
    members.pop("../../crime.csv", None)
    before = set(tmp_path.parent.iterdir())
    assert send(engine, settings, region, archive(members), "application/zip").rejected == 0
    assert set(tmp_path.parent.iterdir()) == before


def test_dates_of_a_workbook_are_local_times(engine, settings):
    region = add_region(engine, "sheet", timezone="America/Vancouver").id
    sheet = pd.DataFrame({"Date": [datetime(2024, 7, 1, 23, 30)], "Long": [-123.1], "Lat": [49.25]})
    send(engine, settings, region, workbook(sheet), EXCEL_TYPE)
    same = b"occurred_at,longitude,latitude\n2024-07-02T06:30:00Z,-123.1,49.25\n"
    assert send(engine, settings, region, same, "text/csv").duplicates == 1
