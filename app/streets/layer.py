"""A region's streets: segments between junctions, their names and their form in the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from app.core.bounds import check_number
from app.core.caching.once import once
from app.core.errors import InvalidInput
from app.geo.antimeridian import continuous
from app.geo.study_area import to_metres
from app.readers.files.streets import DEGREE_DECIMALS, MAX_NAME_CHARS
from app.readers.isolated import damaged
from app.registry.artifacts import ArtifactCorrupt
from models.streets.network import Network, split_at_junctions
from models.units import FloatArray, IntArray

MAX_SEGMENTS = 300_000
UNNAMED = -1
_UNITS = 10**DEGREE_DECIMALS


@dataclass(frozen=True)
class StreetLayer:
    """Segments between junctions, one after the other.

    Args:
        place: (V, 2) int32, longitude and latitude of all vertices in units of 1e-7 degrees.
        start: (S + 1,) int32, first vertex of each segment, and V.
        node: (S, 2) int32, junctions or dead ends at both ends.
        length_m: (S,) float32.
        name: (S,) int32, row of `names`, or `UNNAMED`.
        names: distinct names of streets.
    """

    place: NDArray[np.int32]
    start: NDArray[np.int32]
    node: NDArray[np.int32]
    length_m: NDArray[np.float32]
    name: NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.length_m)

    @once
    def degrees(self) -> FloatArray:
        """Longitude and latitude (V, 2); longitudes may continue beyond 180."""
        found: FloatArray = self.place / _UNITS
        found[:, 0] = continuous(found[:, 0])
        return found

    def name_of(self, segment: int) -> str | None:
        """Return a segment's name."""
        name = int(self.name[segment])
        return None if name == UNNAMED else self.names[name]

    def network(self, crs: str) -> Network:
        """Project the segments."""
        longitude, latitude = self.degrees.T
        xy_m = np.column_stack(to_metres(longitude, latitude, crs))
        return Network(
            xy_m,
            self.start.astype(np.int64),
            self.node.astype(np.int64),
            np.arange(len(self)),
            np.arange(len(xy_m)),
        )

    def packed(self) -> tuple[bytes, str]:
        """Return the content to store, and its SHA-256."""
        names = np.frombuffer(json.dumps(self.names).encode(), np.uint8)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        content = save({**arrays, "names": names})
        return content, hashlib.sha256(content).hexdigest()


_ARRAYS = ("place", "start", "node", "length_m", "name")


def unpacked(content: bytes) -> StreetLayer:
    """Read a stored layer.

    Raises:
        ArtifactCorrupt: it is not what was stored.
    """
    try:
        arrays: Mapping[str, NDArray[Any]] = load(content)
        names = json.loads(arrays["names"].tobytes())
        return StreetLayer(**{name: arrays[name] for name in _ARRAYS}, names=tuple(names))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactCorrupt(f"the stored streets cannot be read: {error}") from error


def layer_of(blocks: Iterable[Mapping[str, Any]], crs: str) -> StreetLayer:
    """Build a layer from the reader's blocks of lines; see `app.readers.files.streets`.

    Raises:
        InvalidInput: a block has the wrong form.
        LimitExceeded: too many segments.
    """
    places: list[IntArray] = []
    sizes: list[IntArray] = []
    names: list[str | None] = []
    for block in blocks:
        place = np.array(block["places"], np.int64).reshape(-1, 2)
        size = np.array(block["sizes"], np.int64)
        if (size < 2).any() or size.sum() != len(place) or len(block["names"]) != len(size):
            raise damaged()
        if (np.abs(place) > (180 * _UNITS, 90 * _UNITS)).any():
            raise damaged()
        places.append(place)
        sizes.append(size)
        names += [None if name is None else str(name)[:MAX_NAME_CHARS] for name in block["names"]]
    return _split(np.concatenate(places), np.concatenate(sizes), names, crs)


def _split(place: IntArray, sizes: IntArray, names: list[str | None], crs: str) -> StreetLayer:
    degrees = place / _UNITS
    xy_m = np.column_stack(to_metres(continuous(degrees[:, 0]), degrees[:, 1], crs))
    network = split_at_junctions(xy_m, np.concatenate([[0], np.cumsum(sizes)]))
    if len(network) == 0:
        raise InvalidInput("the lines have no length", field="streets")
    n = len(network)
    check_number(n, MAX_SEGMENTS, f"{n} segments between junctions", "streets")
    distinct = sorted({name for name in names if name is not None})
    row = {name: i for i, name in enumerate(distinct)}
    of_line = np.array([UNNAMED if name is None else row[name] for name in names], np.int32)
    _, node = np.unique(network.node, return_inverse=True)
    return StreetLayer(
        place[network.vertex].astype(np.int32),
        network.start.astype(np.int32),
        node.reshape(-1, 2).astype(np.int32),
        network.length_m.astype(np.float32),
        of_line[network.line],
        tuple(distinct),
    )
