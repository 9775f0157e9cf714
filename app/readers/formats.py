"""Upload formats, by media type over HTTP and by suffix on the command line."""

from __future__ import annotations

from app.readers.blocks import Reader
from app.readers.files.delimited import read_csv
from app.readers.files.json_rows import read_geojson, read_json, read_ndjson
from app.readers.isolated import isolated, isolated_when_large

EXCEL_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TEXT_READERS: dict[str, Reader] = {
    "text/csv": read_csv,
    "text/tab-separated-values": read_csv,
    "application/json": read_json,
    "application/x-ndjson": read_ndjson,
    "application/geo+json": read_geojson,
}
ARRAY_TYPES = ("application/json", "application/geo+json")
"""These can only be split by parsing, so large ones are read in an isolated process, too."""
ZIP_TYPE = "application/zip"
FILE_TYPES = (
    "application/vnd.apache.parquet",
    EXCEL_TYPE,
    "application/geopackage+sqlite3",
    ZIP_TYPE,
)
"""Read by third-party libraries, each in an isolated process."""
READERS: dict[str, Reader] = {
    **TEXT_READERS,
    **{kind: isolated_when_large(kind, TEXT_READERS[kind]) for kind in ARRAY_TYPES},
    **{kind: isolated(kind) for kind in FILE_TYPES},
}
SUFFIX_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/csv",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".geoparquet": "application/vnd.apache.parquet",
    ".xlsx": EXCEL_TYPE,
    ".gpkg": "application/geopackage+sqlite3",
    ".zip": ZIP_TYPE,
}
