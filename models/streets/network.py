"""Streets as a network: lines split at junctions into segments, and segments divided into lixels.

Lines meet where they share a vertex, at their ends or between. Lines that cross without a shared vertex do
not meet: bridges and underpasses are drawn so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.units import FloatArray, IntArray

LIXEL_M = 50.0
"""Longest lixel: the network's counterpart of a cell, within which density is constant."""
CM_PER_M = 100.0
MIN_SEGMENT_M = 0.05
SHORTEST_BIT_M = 1e-6


class Squares(Protocol):
    """Cells of a square grid; see `app.geo.grid.Grid`."""

    @property
    def x0_m(self) -> float: ...
    @property
    def y0_m(self) -> float: ...
    @property
    def cell_size_m(self) -> float: ...
    def __len__(self) -> int: ...
    def locate(self, x_m: FloatArray, y_m: FloatArray) -> IntArray: ...


@dataclass(frozen=True)
class Network:
    """Segments between junctions.

    Args:
        xy_m: (V, 2) vertices of all segments, one segment after the other.
        start: (S + 1,) first vertex of each segment, and V.
        node: (S, 2) numbers of the junctions or dead ends at both ends; segments that meet share them.
        line: (S,) row of the line that each segment is part of.
        vertex: (V,) row that each vertex had among those of the lines.
    """

    xy_m: FloatArray
    start: IntArray
    node: IntArray
    line: IntArray
    vertex: IntArray

    def __len__(self) -> int:
        return len(self.line)

    @property
    def segment(self) -> IntArray:
        """Segment (V,) of each vertex."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    @property
    def length_m(self) -> FloatArray:
        """Length (S,) of each segment."""
        _, step, segment = _steps(self)
        found: FloatArray = np.bincount(segment, step, len(self)).astype(np.float64)
        return found

    def take(self, rows: NDArray[np.bool_]) -> Network:
        """Return the network of some segments (S,); numbers of nodes stay."""
        vertices = rows[self.segment]
        sizes = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(sizes)])
        return Network(
            self.xy_m[vertices], start, self.node[rows], self.line[rows], self.vertex[vertices]
        )


def split_at_junctions(xy_m: FloatArray, start: IntArray) -> Network:
    """Split lines where they share a vertex, to the centimetre.

    Repeated vertices, segments without length, and segments drawn twice are left out.

    Args:
        xy_m: (V, 2) vertices of all lines, one line after the other.
        start: (L + 1,) first vertex of each line, and V.
    """
    cm = np.rint((xy_m - xy_m.min(axis=0)) * CM_PER_M).astype(np.int64)
    line = np.repeat(np.arange(len(start) - 1), np.diff(start))
    place = cm[:, 0] * (int(cm[:, 1].max()) + 1) + cm[:, 1]
    fresh = np.ones(len(place), bool)
    fresh[1:] = (place[1:] != place[:-1]) | (line[1:] != line[:-1])
    vertex = np.flatnonzero(fresh)
    line, place = line[fresh], place[fresh]
    _, node, uses = np.unique(place, return_inverse=True, return_counts=True)
    is_first = np.ones(len(line), bool)
    is_first[1:] = line[1:] != line[:-1]
    is_end = is_first | np.append(is_first[1:], True)
    is_junction = uses > 1
    is_junction[node[is_end]] = True
    cuts = np.flatnonzero(is_junction[node])
    joined = line[cuts[1:]] == line[cuts[:-1]]
    first, last = cuts[:-1][joined], cuts[1:][joined]
    sizes = last - first + 1
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = vertex[np.repeat(first - starts[:-1], sizes) + np.arange(int(starts[-1]))]
    ends = np.stack([node[first], node[last]], axis=1)
    return _without_repeats(Network(xy_m[rows], starts, ends, line[first], rows))


def _without_repeats(whole: Network) -> Network:
    ends, sizes = whole.node, np.diff(whole.start)
    length_cm = np.rint(whole.length_m * CM_PER_M).astype(np.int64)
    same = np.column_stack([ends.min(axis=1), ends.max(axis=1), length_cm, sizes])
    _, once = np.unique(same, axis=0, return_index=True)
    wanted = np.zeros(len(whole), bool)
    wanted[once] = True
    return whole.take(wanted & (whole.length_m >= MIN_SEGMENT_M))


def _steps(network: Network) -> tuple[IntArray, FloatArray, IntArray]:
    """Return first vertex, length in metres and segment of each straight step between two vertices."""
    segment = network.segment
    first = np.flatnonzero(segment[1:] == segment[:-1])
    step = np.linalg.norm(network.xy_m[first + 1] - network.xy_m[first], axis=1)
    return first, step, segment[first]


@dataclass(frozen=True)
class Lixels:
    """Equal parts of segments, in order along each.

    Args:
        segment: (P,) segment of each.
        length_m: (P,) its length.
        first: (S + 1,) first lixel of each segment, and P.
    """

    segment: IntArray
    length_m: FloatArray
    first: IntArray

    def __len__(self) -> int:
        return len(self.segment)


def lixels_of(network: Network, longest_m: float = LIXEL_M) -> Lixels:
    """Divide each segment into equal parts of at most `longest_m`."""
    length_m = network.length_m
    n = np.maximum(np.ceil(length_m / longest_m - 1e-9), 1).astype(np.int64)
    segment = np.repeat(np.arange(len(network)), n)
    return Lixels(segment, (length_m / n)[segment], np.concatenate([[0], np.cumsum(n)]))


@dataclass(frozen=True)
class Bits:
    """Straight parts of lixels, each in one cell.

    Args:
        ends_m: (B, 4) x, y of start and end.
        lixel: (B,) its lixel.
        cell: (B,) row of its cell, -1 outside all cells.
        length_m: (B,) its length.
    """

    ends_m: FloatArray
    lixel: IntArray
    cell: IntArray
    length_m: FloatArray


def bits_of(network: Network, lixels: Lixels, grid: Squares) -> Bits:
    """Cut all segments at vertices, at the ends of lixels and at the sides of cells."""
    first, step, segment = _steps(network)
    step = np.maximum(step, 1e-9)
    before = np.cumsum(step) - step
    is_new = np.append(True, segment[1:] != segment[:-1])
    along = before - np.repeat(
        before[is_new], np.diff(np.append(np.flatnonzero(is_new), len(step)))
    )
    lixel_m = lixels.length_m[lixels.first[segment]]
    low, high = network.xy_m[first], network.xy_m[first + 1]
    origin = np.array([grid.x0_m, grid.y0_m])
    cells_low, cells_high = (low - origin) / grid.cell_size_m, (high - origin) / grid.cell_size_m
    cuts = [
        _crossings(cells_low[:, 0], cells_high[:, 0]),
        _crossings(cells_low[:, 1], cells_high[:, 1]),
        _crossings(along / lixel_m, (along + step) / lixel_m),
        (np.arange(len(step)), np.zeros(len(step))),
        (np.arange(len(step)), np.ones(len(step))),
    ]
    of = np.concatenate([rows for rows, _ in cuts])
    at = np.concatenate([share for _, share in cuts])
    order = np.lexsort((at, of))
    of, at = of[order], at[order]
    used = (of[1:] == of[:-1]) & ((at[1:] - at[:-1]) * step[of[1:]] > SHORTEST_BIT_M)
    of, begin, end = of[:-1][used], at[:-1][used], at[1:][used]
    way = high - low
    middle = low[of] + way[of] * ((begin + end) / 2)[:, None]
    part = np.floor((along[of] + step[of] * (begin + end) / 2) / lixel_m[of]).astype(np.int64)
    last = lixels.first[segment[of] + 1] - 1
    ends = np.column_stack([low[of] + way[of] * begin[:, None], low[of] + way[of] * end[:, None]])
    return Bits(
        ends,
        np.minimum(lixels.first[segment[of]] + part, last),
        grid.locate(middle[:, 0], middle[:, 1]),
        step[of] * (end - begin),
    )


def _crossings(low: FloatArray, high: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return where numbers running from `low` to `high` (n,) pass integers: rows, and shares 0..1."""
    small, large = np.minimum(low, high), np.maximum(low, high)
    first = np.floor(small) + 1
    n = np.maximum(np.ceil(large) - first, 0).astype(np.int64)
    rows = np.repeat(np.arange(len(low)), n)
    count = np.arange(len(rows)) - np.repeat(np.cumsum(n) - n, n)
    share = (first[rows] + count - low[rows]) / (high - low)[rows]
    return rows, np.clip(share, 0.0, 1.0)
