"""Requests to every route with parameters that no cache holds, and whether two replies say the same."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import pyarrow.parquet as pq
from PIL import Image

from tests.support.hammer.bodies import BODIES
from tests.support.hammer.values import Query, path_values, query_of
from tests.support.hammer.world import Operation, World

ASK_AGAIN = (429, 503)
PATIENCE_S = 60.0
SPARE = "spare"
"""The region that is written to; all others must answer alike."""
LOOSE = re.compile(
    r"^/(metrics|readyz|healthz|ogc|ogc/collections)$|^/v1/(regions|keys|audit|me)\b(?!/\{region\})"
)
"""Paths whose replies change while others write."""
WHEN_MADE = re.compile(
    rb"""((?:generated_at|made_at|timeStamp|Made)[">:=\s]{1,6})\d[0-9T:+Z-]{18,31}"""
)


@dataclass(frozen=True)
class Ask:
    """A request; `exact`: its reply depends on nothing but what it asks."""

    operation: str
    method: str
    url: str
    query: Query
    exact: bool
    body: Mapping[str, Any] = field(default_factory=dict)
    """Of httpx: `json`, or `content` and `headers`."""

    def send(self, client: httpx.Client) -> httpx.Response:
        """Ask, and again while the service says that it is busy."""
        until = time.perf_counter() + PATIENCE_S
        while True:
            reply = client.request(self.method, self.url, params=self.query, **self.body)
            if reply.status_code not in ASK_AGAIN or time.perf_counter() > until:
                return reply
            time.sleep(0.2)

    def __str__(self) -> str:
        return f"{self.method} {self.url}?{httpx.QueryParams(self.query)}"


def drawn(world: World, operation: Operation, rng: Random) -> Ask:
    """Draw one request of an operation.

    Raises:
        LookupError: the operation has a parameter or a body that is not known here.
    """
    region = world.region if operation.is_read else SPARE
    places = {"region": region, **path_values(world, operation, rng)}
    missing = set(re.findall(r"\{(\w+)", operation.path)) - set(places)
    query = query_of(world, operation, rng)
    if missing:
        raise LookupError(f"no values for {sorted(missing)} of {operation.name}")
    url = re.sub(r"\{(\w+)(:\w+)?\}", lambda m: str(places[m[1]]), operation.path)
    body = {}
    if operation.method in ("POST", "PUT", "PATCH"):
        if operation.name not in BODIES:
            raise LookupError(f"no body for {operation.name}")
        body = BODIES[operation.name](rng, world)
    unseeded = operation.path.endswith("/samples") and "seed" not in query
    exact = operation.is_read and not LOOSE.search(operation.path) and not unseeded
    return Ask(operation.name, operation.method, url, query, exact, body)


def meaning(reply: httpx.Response) -> tuple[Any, ...]:
    """What a reply says, without when and under which address; equal for equal answers."""
    kind = reply.headers.get("content-type", "")
    if reply.status_code >= 400:
        return reply.status_code, reply.json().get("code") if "json" in kind else None
    if "parquet" in kind:
        table = pq.read_table(io.BytesIO(reply.content))
        return reply.status_code, table.column_names, repr(table.to_pydict())
    if kind == "image/png":
        image = Image.open(io.BytesIO(reply.content))
        return reply.status_code, image.size, image.convert("RGBA").tobytes()
    text = reply.content.replace(reply.request.url.netloc, b"here")
    return reply.status_code, kind, WHEN_MADE.sub(rb"\1", text)


def difference(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    """Where two meanings part, in a few characters of both."""
    a, b = next(
        (pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]), (one, other)
    )
    if not isinstance(a, str | bytes) or type(a) is not type(b):
        return f"{str(a)[:100]} instead of {str(b)[:100]}"
    place = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    start = max(0, place - 40)
    return f"{a[start : place + 40]!r} instead of {b[start : place + 40]!r}"
