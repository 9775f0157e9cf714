"""Bodies that differ each time, for every operation that takes one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.hammer.values import Row, box_in
from tests.support.hammer.world import World


def _areas(rng: Random, world: World) -> dict[str, Any]:
    """A polygon, a line and a point somewhere in the region."""
    west, south, east, north = box_in(world, rng)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    shapes = {"Polygon": [ring], "LineString": [ring[0], ring[2]], "Point": ring[1]}
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": kind, "coordinates": places}}
        for kind, places in shapes.items()
    ]
    collection = {"type": "FeatureCollection", "features": features}
    buffer_m = round(rng.uniform(10.0, 500.0), 2)
    return {"json": {"window": rng.randrange(168), "areas": collection, "buffer_m": buffer_m}}


def _scored(rng: Random, world: World) -> dict[str, Any]:
    last = world.times[1]
    incidents = [
        {"occurred_at": (last + timedelta(hours=hour)).isoformat(), "longitude": x, "latitude": y}
        for hour, (x, y, _, _) in enumerate(box_in(world, rng) for _ in range(50))
    ]
    return {"json": {"incidents": incidents, "model": rng.choice(world.versions)}}


def _zones(rng: Random, _world: World) -> dict[str, Any]:
    """A plan by hand, of cells that a grid may have."""
    return {"json": {"zones": [[rng.randrange(400)] for _ in range(3)], "avoid": [0]}}


def _evaluated(rng: Random, world: World) -> dict[str, Any]:
    """One of the areas on a past week."""
    areas = _areas(rng, world)["json"]["areas"]
    week = {
        "from": (world.times[1] - timedelta(days=7)).isoformat(),
        "to": world.times[1].isoformat(),
    }
    return {"json": {"areas": {**areas, "features": areas["features"][:1]}, **week}}


def _streets(rng: Random, world: World) -> dict[str, Any]:
    """One street as a line."""
    line = _areas(rng, world)["json"]["areas"]["features"][1]
    return {
        "content": json.dumps({"type": "FeatureCollection", "features": [line]}),
        "headers": {"Content-Type": "application/geo+json"},
    }


def _upload(rng: Random, world: World) -> dict[str, Any]:
    """Incidents in one of the formats."""
    rows = [
        {
            "occurred_at": (world.times[0] + timedelta(minutes=rng.randrange(10**5))).isoformat(),
            "longitude": round(x, 6),
            "latitude": round(y, 6),
            "category": rng.choice("abc"),
        }
        for x, y, _, _ in (box_in(world, rng) for _ in range(200))
    ]
    kind, write = rng.choice(list(UPLOADS.items()))
    return {"content": write(rows), "headers": {"Content-Type": kind}}


def _parquet(rows: list[Row]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


UPLOADS: dict[str, Callable[[list[Row]], bytes]] = {
    "text/csv": lambda rows: pd.DataFrame(rows).to_csv(index=False).encode(),
    "application/json": lambda rows: json.dumps(rows).encode(),
    "application/x-ndjson": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "application/vnd.apache.parquet": _parquet,
}


def _given(make: Callable[[Random], Any]) -> Callable[[Random, World], dict[str, Any]]:
    return lambda rng, _world: {"json": make(rng)}


_REGION = "/v1/regions/{region}"
BODIES: dict[str, Callable[[Random, World], dict[str, Any]]] = {
    f"POST {_REGION}/forecasts/areas": _areas,
    f"POST {_REGION}/forecasts/score": _scored,
    f"POST {_REGION}/forecasts/zones": _zones,
    f"POST {_REGION}/evaluations": _evaluated,
    f"PUT {_REGION}/streets": _streets,
    f"POST {_REGION}/incidents": _upload,
    "POST /v1/regions": _given(lambda rng: {"id": f"made-{rng.randrange(5)}", "timezone": "UTC"}),
    f"PUT {_REGION}/mappings/{{name}}": _given(lambda _: {"columns": {"category": "kind"}}),
    f"PUT {_REGION}/schedule": _given(lambda _: {"cron": "15 3 * * MON", "model": "uniform"}),
    f"PUT {_REGION}/population": lambda rng, _world: {
        "content": f"neighbourhood,population\nnorth,{rng.randrange(10**6)}\n",
        "headers": {"Content-Type": "text/csv"},
    },
    f"PUT {_REGION}/layers/{{name}}": lambda _rng, world: {
        "content": json.dumps(_areas(Random(0), world)["json"]["areas"]),
        "headers": {"Content-Type": "application/geo+json"},
    },
    f"POST {_REGION}/presence": lambda rng, world: {
        "json": [
            {
                "from": world.times[0].isoformat(),
                "to": (world.times[0] + timedelta(minutes=rng.randrange(1, 99))).isoformat(),
                "activity": "patrol",
                "geometry": _areas(rng, world)["json"]["areas"]["features"][0]["geometry"],
            }
        ]
    },
    f"POST {_REGION}/subscriptions": _given(
        lambda rng: {
            "name": f"s{rng.randrange(5)}",
            "occasion": "shift",
            "target": "folder",
            "address": "hammered",
        }
    ),
    f"POST {_REGION}/subscriptions/{{name}}/rotate": _given(lambda _: {}),
    f"POST {_REGION}/subscriptions/{{name}}/test": lambda _rng, _world: {},
    f"POST {_REGION}/subscriptions/{{name}}/deliveries/{{delivery_id}}/retry": lambda _rng, _w: {},
    f"PATCH {_REGION}": _given(lambda rng: {"name": f"spare {rng.randrange(9)}"}),
    f"PUT {_REGION}/categories/aliases": _given(lambda _: {"aliases": {}}),
    f"PUT {_REGION}/categories/groups": _given(lambda _: {"groups": {"all": ["theft"]}}),
    f"PUT {_REGION}/categories/weights": _given(lambda rng: {"weights": {"theft": rng.random()}}),
    f"PUT {_REGION}/learning-policy": _given(lambda rng: {"minimum_count": rng.randrange(9)}),
    f"POST {_REGION}/sync-runs": _given(lambda _: {}),
    f"POST {_REGION}/training-runs": _given(lambda _: {"model": "uniform", "validate": False}),
    f"POST {_REGION}/backtests": _given(lambda _: {"models": ["uniform"], "n_origins": 1}),
    f"POST {_REGION}/state": lambda _rng, _world: {},
    f"POST {_REGION}/register": lambda _rng, _world: {},
    f"POST {_REGION}/models/rollback": lambda _rng, _world: {},
    f"POST {_REGION}/models/{{version}}/promote": lambda _rng, _world: {},
    "POST /v1/keys": _given(lambda _: {"name": "hammered", "roles": ["reader"], "expires_days": 1}),
    "POST /v1/keys/{key_id}/rotate": _given(lambda _: {}),
}
