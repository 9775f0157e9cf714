"""Ways to damage what is stored of a version; each acts within the caller's transaction."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from sqlalchemy import Connection, text, update

from app.core.db.tables import model_versions
from app.registry import store as registry
from app.registry.artifacts import load_grid, store_grid

N_ROWS = 168


@dataclass
class Target:
    """The champion under attack.

    Args:
        other: a sound version of the same region, champion before.
        foreign: (region key, version) of another region's sound version.
    """

    key: int
    version: str
    sha256: str
    other: str
    foreign: tuple[int, str]


Change = Callable[[NDArray[Any]], NDArray[Any]]
Attack = Callable[[Connection, Target, random.Random], None]


def _content(connection: Connection, target: Target) -> bytes:
    query = text("SELECT content FROM artifacts WHERE sha256 = :s")
    return bytes(connection.execute(query, {"s": target.sha256}).scalar_one())


def _put(connection: Connection, target: Target, content: bytes) -> None:
    query = text("UPDATE artifacts SET content = :c WHERE sha256 = :s")
    connection.execute(query, {"c": content, "s": target.sha256})


def _put_with_hash(connection: Connection, target: Target, content: bytes) -> None:
    """The content, and its own hash wherever the old one stood."""
    sha256 = hashlib.sha256(content).hexdigest()
    connection.execute(
        text("INSERT INTO artifacts (sha256, content, size_bytes) VALUES (:s, :c, :n)"),
        {"s": sha256, "c": content, "n": len(content)},
    )
    point_to(connection, target, artifact_sha256=sha256)


def point_to(connection: Connection, target: Target, **sha256: str) -> None:
    """Make another stored artifact (`artifact_sha256`) or grid (`grid_sha256`) the target's."""
    columns = model_versions.c
    mine = (columns.region_key == target.key) & (columns.version == target.version)
    connection.execute(update(model_versions).where(mine).values(**sha256))


def _flipped(content: bytes, rng: random.Random) -> bytes:
    broken = bytearray(content)
    broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def flip(connection: Connection, target: Target, rng: random.Random) -> None:
    """One bit of the artifact."""
    _put(connection, target, _flipped(_content(connection, target), rng))


def flip_with_hash(connection: Connection, target: Target, rng: random.Random) -> None:
    """One bit of the artifact, and its hash made to fit."""
    _put_with_hash(connection, target, _flipped(_content(connection, target), rng))


def truncate(connection: Connection, target: Target, rng: random.Random) -> None:
    """The artifact's end is gone."""
    content = _content(connection, target)
    _put(connection, target, content[: rng.randrange(len(content))])


def extend_header(connection: Connection, target: Target, rng: random.Random) -> None:
    """A safetensors header with an entry more, and the hash made to fit."""
    content = _content(connection, target)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = {"note": str(rng.random())}
    told = json.dumps(header).encode()
    longer = len(told).to_bytes(8, "little") + told + content[8 + length :]
    _put_with_hash(connection, target, longer)


def _changed(content: bytes, change: Change) -> bytes:
    tensors = load_tensors(content)
    name = next(name for name in sorted(tensors) if name.startswith("probability"))
    return save_tensors({**tensors, name: np.ascontiguousarray(change(tensors[name]))})


def no_number(connection: Connection, target: Target, rng: random.Random) -> None:
    """One weight is NaN or infinite, and the hash made to fit."""

    def change(table: NDArray[Any]) -> NDArray[Any]:
        table.flat[rng.randrange(table.size)] = rng.choice([np.nan, np.inf, -np.inf])
        return table

    _put_with_hash(connection, target, _changed(_content(connection, target), change))


def reshape(connection: Connection, target: Target, rng: random.Random) -> None:
    """A table turned or cut, and the hash made to fit."""
    cut = rng.randrange(1, N_ROWS)
    changes: list[Change] = [lambda t: t.T, lambda t: t.ravel(), lambda t: t[:cut]]
    _put_with_hash(connection, target, _changed(_content(connection, target), rng.choice(changes)))


def swap_artifact(connection: Connection, target: Target, rng: random.Random) -> None:
    """A sound artifact of another version or region."""
    key, version = rng.choice([(target.key, target.other), target.foreign])
    sha256 = registry.get_version(connection, key, version).artifact_sha256
    point_to(connection, target, artifact_sha256=sha256)


def swap_grid(connection: Connection, target: Target, rng: random.Random) -> None:
    """A sound grid of as many cells, at its own hash, that lies elsewhere."""
    version = registry.get_version(connection, target.key, target.version)
    grid, boundary = load_grid(connection, version.grid_sha256)
    moved = replace(grid, x0_m=grid.x0_m + rng.randrange(1, 1000))
    point_to(connection, target, grid_sha256=store_grid(connection, moved, boundary))


def _row(connection: Connection, target: Target, rng: random.Random, change: str) -> None:
    connection.execute(
        text(
            f"UPDATE forecast_grids SET cell_values = {change} "
            'WHERE region_key = :key AND version = :version AND "window" = :w'
        ),
        {"key": target.key, "version": target.version, "w": rng.randrange(N_ROWS)},
    )


def flip_row(connection: Connection, target: Target, rng: random.Random) -> None:
    """One bit of an hour's forecast."""
    bit = rng.randrange(8 * 4 * 100)
    _row(connection, target, rng, f"set_bit(cell_values, {bit}, 1 - get_bit(cell_values, {bit}))")


def cut_row(connection: Connection, target: Target, rng: random.Random) -> None:
    """An hour's forecast is shorter or longer."""
    changes = [f"substr(cell_values, {rng.randrange(2, 300)})", "cell_values || cell_values"]
    _row(connection, target, rng, rng.choice(changes))


def row_of_no_numbers(connection: Connection, target: Target, rng: random.Random) -> None:
    """An hour's forecast begins with NaN."""
    _row(connection, target, rng, "'\\x0000c07f'::bytea || substr(cell_values, 5)")


def swap_rows(connection: Connection, target: Target, rng: random.Random) -> None:
    """An hour's forecast, digest and all, of another hour, version or region."""
    window = rng.randrange(N_ROWS)
    key, version = rng.choice(
        [(target.key, target.version), (target.key, target.other), target.foreign]
    )
    connection.execute(
        text(
            "UPDATE forecast_grids g SET cell_values = o.cell_values, digest = o.digest "
            "FROM forecast_grids o WHERE g.region_key = :key AND g.version = :version "
            'AND g."window" = :w AND o.region_key = :from_key AND o.version = :from_version '
            'AND o."window" = :from_w'
        ),
        {
            "key": target.key,
            "version": target.version,
            "w": window,
            "from_key": key,
            "from_version": version,
            "from_w": (window + 1 + rng.randrange(N_ROWS - 1)) % N_ROWS,
        },
    )


def lose_row(connection: Connection, target: Target, rng: random.Random) -> None:
    """An hour's forecast is gone."""
    connection.execute(
        text(
            "DELETE FROM forecast_grids "
            'WHERE region_key = :key AND version = :version AND "window" = :w'
        ),
        {"key": target.key, "version": target.version, "w": rng.randrange(N_ROWS)},
    )


ON_ARTIFACTS: tuple[Attack, ...] = (
    flip, flip_with_hash, truncate, extend_header, no_number, reshape, swap_artifact, swap_grid,
)  # fmt: skip
ON_ROWS: tuple[Attack, ...] = (flip_row, cut_row, row_of_no_numbers, swap_rows, lose_row)
