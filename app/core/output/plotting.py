"""Drawing with matplotlib: one picture at a time, literal names, reproducible bytes."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_lock = threading.Lock()
"""matplotlib's settings and text layout are global to the process: draw one picture at a time."""


@contextmanager
def drawing(**arguments: Any) -> Iterator[Figure]:
    """Yield a new figure (`arguments` are the figure's) while no other thread draws.

    Names of regions, neighbourhoods and categories come from outside: a dollar sign in them is a
    character, not the start of a formula.
    """
    with _lock:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        with rc_context(
            {
                "text.parse_math": False,
                "svg.hashsalt": "hotslot",
                "pdf.fonttype": 42,  # TrueType: text that can be searched and copied
            }
        ):
            yield Figure(**arguments)


def file_of(
    figure: Figure, file_format: str, metadata: Mapping[str, str] | None = None, **arguments: Any
) -> bytes:
    """Return the figure as a file without a creation date."""
    dates = {"svg": "Date", "pdf": "CreationDate"}
    dateless: dict[str, Any] = {dates[file_format]: None} if file_format in dates else {}
    buffer = io.BytesIO()
    metadata = {**dateless, **(metadata or {})}
    figure.savefig(buffer, format=file_format, metadata=metadata, **arguments)
    return buffer.getvalue()
