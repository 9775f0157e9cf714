"""Values that no cache holds, for every parameter and body of the API."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.support.hammer.world import Operation, World

Query = dict[str, str]
Row = dict[str, Any]


def query_of(world: World, operation: Operation, rng: Random) -> Query:
    """Draw the query of an operation.

    Raises:
        LookupError: it has a parameter that is not known here.
    """
    always, sometimes = _values(world, operation, rng)
    known = {*always, *sometimes, *GROUPED}
    unknown = set(operation.parameters) - known
    if unknown:
        raise LookupError(f"no values for {sorted(unknown)} of {operation.name}")
    chosen = {**always, **{n: v for n, v in sometimes.items() if rng.random() < 0.4}}
    return {n: str(v) for n, v in chosen.items() if n in operation.parameters}


GROUPED = (
    "at",
    "window",
    "from",
    "to",
    "shift",
    "date",
    "cell_size_m",
    "grid",
    "resolution",
    "f",
    "cursor",
)


def _values(
    world: World, operation: Operation, rng: Random
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What belongs together, always given; and the other parameters."""
    always = {**_when(world, operation, rng), **_cut(rng), "layer": "neighbourhoods"}
    formats = _choices(operation.parameters.get("f", {}))
    if formats:
        always["f"] = rng.choice(formats)
    if "coords" in operation.parameters:
        west, south, east, north = box_in(world, rng)
        ring = f"{west} {south},{east} {south},{east} {north},{west} {south}"
        is_area = operation.path.endswith("/area")
        always["coords"] = f"POLYGON(({ring}))" if is_area else f"POINT({west} {south})"
    first, last = world.times
    sometimes = {
        **_how_to_read(rng),
        "bbox": ",".join(f"{v:.5f}" for v in box_in(world, rng)),
        "category": rng.choice([*9 * world.categories, "nothing of the kind"]),
        "model": rng.choice(world.versions),
        "state": rng.choice(("frozen", "1", "2")),
        "as_of": (last + timedelta(seconds=rng.randrange(10**7))).isoformat(),
        "top": round(rng.uniform(0.5, 60.0), 3),
        "n_cells": rng.randrange(1, 400),
        "max_km2": round(rng.uniform(0.1, 12.0), 4),
        "compactness": round(rng.uniform(0.0, 1.0), 3),
        "area_km2": round(rng.uniform(0.5, 60.0), 4),
        "min_separation_m": round(rng.uniform(100.0, 2_000.0), 1),
        "dissolve": rng.choice(["true", "false"]),
        "compare": rng.choice(["true", "false"]),
        "cells": rng.choice(["true", "false"]),
        "n": rng.randrange(1, 3_000),
        "seed": rng.randrange(2**40),
        "datetime": f"{_within(first, last, rng).isoformat()}/{last.isoformat()}",
        "limit": rng.randrange(1, 1_000),
        "upload": 1,
        "reporting": f"north={rng.uniform(0.1, 0.9):.3f}",
        "groups": "group",
        "chain": "true",
        "action": "upload",
        "actor": "nobody",
        "before": rng.randrange(1, 10**6),
        "weight": "harm",
        "inside": f"neighbourhoods:{rng.choice(('north', 'nothing'))}",
        "within": rng.choice(("neighbourhoods", "nothing")),
        "geometry": rng.choice(("true", "false")),
        "name_property": "name",
        "unit": "car",
        "all": "false",
        "confirm": "no",
        "by": rng.choice(["id", "external_id", "reference"]),
        "cell": rng.randrange(400),
        "avoid": rng.randrange(400),
        "record": rng.choice(["true", "false"]),
        "lang": rng.choice(["en", "es"]),
        "paper": rng.choice(["a4", "letter"]),
        "bbox-crs": "OGC:CRS84",
        "delay_days": rng.randrange(3),
        "offset": rng.randrange(50),
        "parameter-name": rng.choice(["probability", "expected_count,density_per_km2"]),
        "tolerance_m": round(rng.uniform(1.0, 200.0), 2),
    }  # fmt: skip
    return always, sometimes


def _how_to_read(rng: Random) -> dict[str, Any]:
    """Parameters of an upload: how its file is read and stored."""
    return {
        "mapping": "mapped",
        "columns": "category=kind",
        "crs": "EPSG:4326",
        "time_format": "%Y-%m-%d",
        "date_only": "interval",
        "zone": "UTC",
        "part": "1",
        "encoding": "utf-8",
        "header_row": 1,
        "feed": rng.choice(["one", "other"]),
        "on_conflict": rng.choice(["refuse", "replace"]),
        "near_duplicates": rng.choice(["add", "skip", "replace"]),
        "replace": "feed",
        "dry_run": rng.choice(["true", "false"]),
    }  # fmt: skip


def _choices(schema: Mapping[str, Any]) -> list[str]:
    """Values of an enumeration, however it is written."""
    for part in (schema, *schema.get("anyOf", ())):
        if "enum" in part:
            return [str(value) for value in part["enum"]]
        if listed := re.fullmatch(r"\^\(([\w|]+)\)\$", part.get("pattern", "")):
            return listed[1].split("|")
    return []


def _within(first: datetime, last: datetime, rng: Random) -> datetime:
    hours = max(1, int((last - first) / timedelta(hours=1)))
    return (first + timedelta(hours=rng.randrange(hours))).replace(
        minute=0, second=0, microsecond=0
    )


def _when(world: World, operation: Operation, rng: Random) -> dict[str, Any]:
    past = operation.path.endswith("/outcomes")
    way = "range" if past else rng.choice(["at", "window", "range", "shift"])
    if way == "window":
        return {"window": rng.randrange(168)}
    start = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(40_000))
    if past:
        start = _within(*world.times, rng)
    if way == "shift":
        return {"shift": rng.choice(["early", "late", "night"]), "date": f"{start:%Y-%m-%d}"}
    if way == "at":
        return {"at": rng.choice([start.isoformat(), f"{start:%Y-%m-%dT%H:%M}"])}
    return {
        "from": start.isoformat(),
        "to": (start + timedelta(hours=rng.randrange(1, 48))).isoformat(),
    }


def _cut(rng: Random) -> dict[str, Any]:
    kind = rng.choice(["own", "square", "square", "h3"])
    if kind == "square":
        return {"cell_size_m": round(rng.uniform(300.0, 1_500.0), 2)}
    return {"grid": "h3", "resolution": rng.randrange(5, 9)} if kind == "h3" else {}


def box_in(world: World, rng: Random) -> tuple[float, float, float, float]:
    west, south, east, north = world.box
    x, y = (
        sorted(rng.uniform(west, east) for _ in "ab"),
        sorted(rng.uniform(south, north) for _ in "ab"),
    )
    return x[0], y[0], x[1], y[1]


def _tile(world: World, rng: Random) -> dict[str, int]:
    west, south, _, _ = box_in(world, rng)
    z = rng.randrange(6, 15)
    turned = math.asinh(math.tan(math.radians(south)))
    return {
        "z": z,
        "x": int((west + 180) / 360 * 2**z),
        "y": int((1 - turned / math.pi) / 2 * 2**z),
    }


def path_values(world: World, operation: Operation, rng: Random) -> dict[str, Any]:
    """Draw values for whatever a path may ask; of runs and versions those that are there."""
    runs = world.backtests if "/backtests" in operation.path else world.trainings
    if not operation.is_read:
        runs = []
    return {
        **_tile(world, rng),
        "version": rng.choice(world.versions),
        "run_id": rng.choice(runs or [str(uuid.UUID(int=rng.getrandbits(128)))]),
        "external_id": f"none-{rng.randrange(1000)}",
        "upload": rng.randrange(10**6, 10**7),
        "name": f"mapping{rng.randrange(5)}",
        "entry": rng.randrange(1, 10**6),
        "row_id": rng.randrange(10**6, 10**7),
        "kind": rng.choice(["hotspots", "zones", "streets", "neighbourhoods", "density", "none"]),
        "fmt": rng.choice(["qml", "sld"]),
        "feature": rng.randrange(400),
        "incident": rng.randrange(1, 10**4),
        "key_id": f"{rng.getrandbits(48):012x}",
        "delivery_id": str(uuid.UUID(int=rng.getrandbits(128))),
    }
