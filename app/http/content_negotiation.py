"""Formats of replies: `f` says which, else `Accept` by its weights, else the call's first one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import Header

GEOJSON = "application/geo+json"
MEDIA_TYPES = {
    "json": "application/json",
    "geojson": GEOJSON,
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    "png": "image/png",
}
Accept = Annotated[str | None, Header(include_in_schema=False)]


def negotiated(f: str | None, accept: str | None, offered: Sequence[str]) -> str:
    """The format to send, one of `offered`.

    A client that accepts none of them gets the first: `Accept` is a wish (RFC 9110, 12.1).

    >>> negotiated(None, "text/csv;q=0.5, image/*", ("json", "csv", "png"))
    'png'
    >>> negotiated("csv", "image/png", ("json", "csv", "png"))
    'csv'
    """
    if f is not None:
        return f
    for _, wanted in sorted(_weighted(accept or ""), key=lambda pair: -pair[0]):
        found = next((name for name in offered if _covers(wanted, MEDIA_TYPES[name])), None)
        if found is not None:
            return found
    return offered[0]


def _weighted(accept: str) -> Iterable[tuple[float, str]]:
    """Weight and media range of each part; those of weight zero and malformed ones are left out."""
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            value = float(weight)
        except ValueError:
            continue
        if kind and value > 0:
            yield value, kind


def _covers(wanted: str, media_type: str) -> bool:
    kind = media_type.split(";")[0]
    return wanted in ("*/*", kind) or (
        wanted.endswith("/*") and kind.startswith(wanted.removesuffix("*"))
    )


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client holds this reply already (weak comparison, RFC 9110)."""
    if if_none_match is None:
        return False
    held = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return etag.removeprefix("W/") in held
