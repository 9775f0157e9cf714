"""In whatever format a file comes: what it tells about persons is named, and kept nowhere."""

import io
import json
import logging
import zipfile

import geopandas as gpd
import pandas as pd
import pytest
from sqlalchemy import text

from app.incidents.service import UploadSource, ingest
from app.readers.formats import EXCEL_TYPE
from app.regions.service import add_region

MARK = "Xqzv"
FRAME = pd.DataFrame(
    {
        "occurred_at": ["2024-01-01T10:00:00Z", "2024-01-02T10:00:00Z"],
        "longitude": [-74.05, -74.06],
        "latitude": [4.65, 4.66],
        "category": ["theft", "theft"],
        "victimName": [MARK, MARK],
        "phone1": [f"{MARK}-555", MARK],
    }
)
TOLD = "columns about persons were not read: victimName, phone1"


def parquet(frame):
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()


def excel(frame):
    out = io.BytesIO()
    frame.to_excel(out, index=False)
    return out.getvalue()


def zipped(name, content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def layer(frame, tmp_path):
    points = gpd.points_from_xy(frame["longitude"], frame["latitude"], crs="EPSG:4326")
    gpd.GeoDataFrame(frame.drop(columns=["longitude", "latitude"]), geometry=points).to_file(
        tmp_path / "a.gpkg", driver="GPKG"
    )
    return (tmp_path / "a.gpkg").read_bytes()


def geojson(frame):
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Point",
                "coordinates": [row.pop("longitude"), row.pop("latitude")],
            },
            "properties": row,
        }
        for row in frame.to_dict("records")
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


FORMATS = {
    "ndjson": (
        "application/x-ndjson",
        lambda f, _: f.to_json(orient="records", lines=True).encode(),
    ),
    "geojson": ("application/geo+json", lambda f, _: geojson(f)),
    "parquet": ("application/vnd.apache.parquet", lambda f, _: parquet(f)),
    "excel": (EXCEL_TYPE, lambda f, _: excel(f)),
    "gpkg": ("application/geopackage+sqlite3", layer),
    "zip": ("application/zip", lambda f, _: zipped("a.csv", f.to_csv(index=False))),
}


def kept_texts(engine):
    """All rows of all tables, as one text."""
    with engine.connect() as connection:
        names = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        rows = [connection.execute(text(f'SELECT t::text FROM "{n}" AS t')).all() for n in names]
    return "\n".join(str(r[0]) for table in rows for r in table)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_format_brings_persons_in(engine, settings, tmp_path, caplog, kind):
    add_region(engine, f"p-{kind}", timezone="America/Bogota")
    content_type, make = FORMATS[kind]
    bad = FRAME.assign(occurred_at=[FRAME["occurred_at"][0], f"no time, {MARK}"])
    with caplog.at_level(logging.DEBUG):
        for n_accepted, frame in ((2, FRAME), (0, bad)):
            body = make(frame, tmp_path)
            source = UploadSource(content_type)
            summary = ingest(engine, f"p-{kind}", [body], source, settings=settings)
            assert summary.accepted == n_accepted
            assert TOLD in [warning.message for warning in summary.warnings]
            assert MARK not in json.dumps(summary.to_json())
    assert MARK not in kept_texts(engine)
    assert MARK not in caplog.text
