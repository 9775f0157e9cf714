"""Native objects and threads: the one place that prepares geometries and makes transformers.

GEOS builds indexes inside a prepared geometry on its first use, without a lock: two threads that
use one, or prepare one, crash the process. So a geometry that threads share stays unprepared, and
code that needs a prepared one works on a private copy. See "Native objects and threads"
in docs/architecture.md; ruff's banned-api (pyproject.toml) forbids the same calls elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import shapely
from pyproj import Transformer

MAX_SPARE = 4
"""Spare prepared copies per geometry: about as many as threads that use one at the same time."""


@lru_cache(maxsize=64)
def transformer(source: str, target: str) -> Transformer:
    """Return the transformer between two CRSs, x or longitude first; threads may share it.

    pyproj keeps a PROJ object per thread behind each `Transformer`.

    Raises:
        ProjError: no transformation is known.
    """
    return Transformer.from_crs(source, target, always_xy=True)


def prepared(shapes: Any) -> Any:
    """Copy a geometry or an array of them and prepare the copy; only one thread may use it."""
    mine = shapely.from_wkb(shapely.to_wkb(shapes))
    shapely.prepare(mine)
    return mine


def shareable(shapes: Any) -> Any:
    """Return a geometry or an array of them, safe to read from several threads.

    GEOS computes the envelope of a collection on first use, without a lock; here it is computed
    before the geometry is shared.
    """
    shapely.bounds(shapes)
    return shapes


class PreparedCopies:
    """Prepared copies of a shared geometry, each used by one thread at a time."""

    def __init__(self) -> None:
        self._spare: deque[Any] = deque(maxlen=MAX_SPARE)

    @contextmanager
    def of(self, shape: Any) -> Iterator[Any]:
        """Lend a prepared copy of `shape` (the same one in each call) until the block ends."""
        try:
            mine = self._spare.pop()
        except IndexError:
            mine = prepared(shape)
        try:
            yield mine
        finally:
            self._spare.append(mine)

    def __reduce__(self) -> tuple[type[PreparedCopies], tuple[()]]:
        return PreparedCopies, ()  # a prepared geometry loses its index when it is pickled
