"""Choose the format of a reply: by `f`, else by the weights of `Accept`, else the route's first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import Header

from app.core.media_types import MEDIA_TYPES, media_type_of

Accept = Annotated[str | None, Header(include_in_schema=False)]


def negotiated(f: str | None, accept: str | None, offered: Sequence[str]) -> str:
    """Choose the format to send, one of `offered`.

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
    """Yield weight and media range of each part; skip malformed ones and those of weight zero."""
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
    kind = media_type_of(media_type)
    return wanted in ("*/*", kind) or (
        wanted.endswith("/*") and kind.startswith(wanted.removesuffix("*"))
    )


def matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether the client has this reply already (weak comparison, RFC 9110)."""
    if if_none_match is None:
        return False
    held = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return etag.removeprefix("W/") in held
