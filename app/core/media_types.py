"""Media types by the short names that `f` takes, in one table."""

from __future__ import annotations

JSON = "application/json"
GEOJSON = "application/geo+json"
PARQUET = "application/vnd.apache.parquet"
MEDIA_TYPES = {
    "json": JSON,
    "geojson": GEOJSON,
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": PARQUET,
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    "png": "image/png",
    "svg": "image/svg+xml",
    "html": "text/html",
    "md": "text/markdown",
    "gpx": "application/gpx+xml",
    "gpkg": "application/geopackage+sqlite3",
    "pdf": "application/pdf",
    "qgs": "application/x-qgis-project",
    "qml": "application/vnd.qgis.qml+xml",
    "sld": "application/vnd.ogc.sld+xml",
    "covjson": "application/prs.coverage+json",
}
BINARY = frozenset({"parquet", "tif", "png", "gpkg", "pdf"})
"""Formats that are not text; they are compressed by themselves."""


def media_type_of(content_type: str) -> str:
    """Return the media type of a `Content-Type` header, without its parameters.

    >>> media_type_of("Text/CSV; charset=utf-8")
    'text/csv'
    """
    return content_type.split(";")[0].strip().lower()
