"""A tiny PMTiles archive of vector tiles: water, one street and one name around a place."""

from __future__ import annotations

import gzip
import json
import math
import struct
from pathlib import Path

ZOOM = 9
EXTENT = 4096
ATTRIBUTION = '<a href="https://maps.example">© The mappers</a>'


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _packed(*values: int) -> bytes:
    return b"".join(map(_varint, values))


def _signed(value: int) -> int:
    return value << 1 ^ value >> 63


def _path(points: list[tuple[int, int]], closed: bool) -> list[int]:
    """Commands of the vector tile format: move, lines, close."""
    found, (x, y) = [], (0, 0)
    for i, (px, py) in enumerate(points):
        if i < 2:
            found.append(9 if i == 0 else (len(points) - 1) << 3 | 2)
        found += [_signed(px - x), _signed(py - y)]
        x, y = px, py
    return [*found, 15] if closed else found


def _layer(name: str, kind: int, points: list[tuple[int, int]], named: str) -> bytes:
    shape = _field(4, _packed(*_path(points, closed=kind == 3)))
    feature = _field(2, _packed(0, 0, 1, 1)) + _number(3, kind) + shape
    keys = _field(3, b"name") + _field(3, b"kind")
    values = b"".join(_field(4, _field(1, value)) for value in (named.encode(), b"highway"))
    head = _number(15, 2) + _field(1, name.encode())
    return head + _field(2, feature) + keys + values + _number(5, EXTENT)


def _tile_id(x: int, y: int) -> int:
    """Place on the Hilbert curves of all zooms up to this one."""
    found, step = (4**ZOOM - 1) // 3, 1 << ZOOM - 1
    while step:
        rx, ry = int(x & step > 0), int(y & step > 0)
        found += step * step * (3 * rx ^ ry)
        if ry == 0:
            if rx == 1:
                x, y = (1 << ZOOM) - 1 - x, (1 << ZOOM) - 1 - y
            x, y = y, x
        step >>= 1
    return found


def write_basemap(path: Path, longitude: float, latitude: float) -> Path:
    """Write an archive whose street runs from west to east through a place that it names Centre.

    All within 0.05 of a tile to the west of the place is water.
    """
    scale = 2**ZOOM
    across = (longitude + 180) / 360 * scale
    down = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * scale
    tiles: dict[int, bytes] = {}
    for x in range(int(across) - 1, int(across) + 2):
        for y in range(int(down) - 1, int(down) + 2):
            px, py = int((across - x) * EXTENT), int((down - y) * EXTENT)
            west = px - int(0.05 * EXTENT)
            water = [(-64, -64), (west, -64), (west, EXTENT + 64), (-64, EXTENT + 64)]
            parts = [_layer("roads", 2, [(-64, py), (EXTENT + 64, py)], "Long Street")]
            if x == int(across):
                parts.append(_layer("water", 3, water, "Sea"))
            if (x, y) == (int(across), int(down)):
                parts.append(_layer("places", 1, [(px, py)], "Centre"))
            tiles[_tile_id(x, y)] = gzip.compress(b"".join(_field(3, p) for p in parts), mtime=0)
    ids = sorted(tiles)
    lengths = [len(tiles[i]) for i in ids]
    deltas = [b - a for a, b in zip([0, *ids], ids, strict=False)]
    offsets = [1, *([0] * (len(ids) - 1))]
    ones = [1] * len(ids)
    root = gzip.compress(_packed(len(ids), *deltas, *ones, *lengths, *offsets), mtime=0)
    layers = [{"id": name, "fields": {"name": "String"}} for name in ("roads", "water", "places")]
    about = json.dumps({"attribution": ATTRIBUTION, "vector_layers": layers}).encode()
    metadata = gzip.compress(about, mtime=0)
    begin = 127 + len(root)
    after = begin + len(metadata)
    counts = (len(ids),) * 3
    head = struct.pack(
        "<7sB11Q6B4iB2i",
        *(b"PMTiles", 3, 127, len(root), begin, len(metadata), after, 0, after, sum(lengths)),
        *(*counts, 1, 2, 2, 1, ZOOM, ZOOM, -1799999999, -850000000, 1799999999, 850000000),
        *(ZOOM, int(longitude * 1e7), int(latitude * 1e7)),
    )
    path.write_bytes(head + root + metadata + b"".join(tiles[i] for i in ids))
    return path
