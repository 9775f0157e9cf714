"""What all pictures share: one at a time, names taken as they are, the same bytes for the same data."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_lock = threading.Lock()
"""matplotlib's settings and its text layout are the process's: one picture at a time, of any kind."""


@contextmanager
def drawing(**arguments: Any) -> Iterator[Figure]:
    """A new figure (`arguments` are its own), and nobody else draws until the end.

    Names of regions, neighbourhoods and categories are anybody's: a dollar sign in them is a
    letter, not the beginning of a formula that may be wrong.
    """
    with _lock:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        with rc_context({"text.parse_math": False, "svg.hashsalt": "hotslot"}):
            yield Figure(**arguments)


def file_of(
    figure: Figure, file_format: str, metadata: Mapping[str, str] | None = None, **arguments: Any
) -> bytes:
    """The figure as a file, without the date of its making."""
    dateless: dict[str, Any] = {"Date": None} if file_format == "svg" else {}
    buffer = io.BytesIO()
    told = {**dateless, **(metadata or {})}
    figure.savefig(buffer, format=file_format, metadata=told, **arguments)
    return buffer.getvalue()
