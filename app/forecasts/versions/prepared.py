"""Notes in shared files that a version was found intact, with its band: the next process need not check.

The full check reads the whole artifact and has all tables hashed, which takes most of the first request of
a region. That all rows are there with their digests is always checked, and a row by its digest whenever it is
read; if one is damaged, the note goes.
"""

from __future__ import annotations

import math
import time

import numpy as np
import orjson

from app.core.caching.file_cache import FileCache
from app.forecasts.versions.loaded import LoadedVersion
from app.registry.erasure_marks import Epoch
from app.registry.store import VersionRecord
from models.bands import Band

CHECK_AGAIN_S = 24 * 3600.0


class Prepared:
    """Reads and writes such notes; one instance per process, shared by its threads."""

    def __init__(self, files: FileCache) -> None:
        self.files = files

    def read(self, record: VersionRecord, epoch: Epoch) -> tuple[Band | None] | None:
        """Return an intact version's band, if it has one; without a note None, outside the tuple."""
        content = self.files.get(epoch.owner, _name(record))
        if content is None:
            return None
        head, _, numbers = content.partition(b"\n")
        checked_s, shapes = orjson.loads(head)
        if time.time() - checked_s > CHECK_AGAIN_S:
            return None
        if shapes is None:
            return (None,)
        values = np.frombuffer(numbers, "<f8").astype(np.float64)
        loading, variance = np.split(values, [math.prod(shapes[0])])
        return (Band(loading.reshape(shapes[0]), variance.reshape(shapes[1])),)

    def write(self, record: VersionRecord, epoch: Epoch, band: Band | None) -> None:
        """Note that a version has just been checked."""
        shapes, numbers = None, b""
        if band is not None:
            parts = band.loading, band.variance
            shapes = [part.shape for part in parts]
            numbers = b"".join(part.astype("<f8").tobytes() for part in parts)
        self.files.put(
            epoch.owner, _name(record), orjson.dumps([time.time(), shapes]) + b"\n" + numbers
        )

    def discard(self, version: LoadedVersion) -> None:
        """Have a version checked again."""
        if version.epoch is not None:
            self.files.discard(version.epoch.owner, _name(version.record))


def _name(record: VersionRecord) -> str:
    return f"version-{bytes(record.seal).hex()}"
