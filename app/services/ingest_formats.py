"""The formats an upload may have: by media type over HTTP, by suffix on the command line."""

from __future__ import annotations

from app.services.ingest_archives import zip_reader
from app.services.ingest_files import read_excel, read_geopackage, read_parquet
from app.services.ingest_readers import Reader, read_csv, read_geojson, read_json, read_ndjson

EXCEL_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
READERS: dict[str, Reader] = {
    "text/csv": read_csv,
    "text/tab-separated-values": read_csv,
    "application/json": read_json,
    "application/x-ndjson": read_ndjson,
    "application/geo+json": read_geojson,
    "application/vnd.apache.parquet": read_parquet,
    EXCEL_TYPE: read_excel,
    "application/geopackage+sqlite3": read_geopackage,
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
}
ZIP_TYPE = "application/zip"
READERS[ZIP_TYPE] = zip_reader({suffix: READERS[kind] for suffix, kind in SUFFIX_TYPES.items()})
SUFFIX_TYPES[".zip"] = ZIP_TYPE
