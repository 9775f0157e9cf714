"""Replies of forecasts: cached bytes, ETags, compression, one version named in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.media_types import MEDIA_TYPES
from app.core.priority import give_way, long_work
from app.forecasts.service import Forecast, ForecastService, Plan, Selector
from app.http.content_negotiation import matches
from app.http.middleware.compression import COMPRESS_FROM_BYTES, compressed, encoding_of

MAX_AGE_S = 60
PROVENANCE = {
    "X-Hotslot-Model": "model",
    "X-Hotslot-Model-Version": "model_version",
    "X-Hotslot-Trained-Until": "trained_until",
    "X-Hotslot-Generated-At": "generated_at",
    "X-Hotslot-At": "at",
    "X-Hotslot-Expected-Total": "expected_total",
    "X-Hotslot-Expected-Total-Lo": "expected_total_lo",
    "X-Hotslot-Expected-Total-Hi": "expected_total_hi",
}
"""Headers that say of any format what JSON says of itself."""


@dataclass(frozen=True)
class Maker:
    """How to make a reply: `variant` tells it from others of the same plan.

    Args:
        fmt: key of `MEDIA_TYPES`.
        make: the body.
        name: of the file that a browser would save.
        check: refuses, by its plan alone, what would cost too much; before any work.
    """

    variant: tuple[object, ...]
    fmt: str
    make: Callable[[Forecast], bytes]
    name: str | None = None
    check: Callable[[Plan], None] | None = None

    @property
    def media_type(self) -> str:
        """As `Content-Type` says it."""
        return MEDIA_TYPES[self.fmt]

    def disposition(self) -> dict[str, str]:
        """The file's name, for formats that browsers save."""
        if self.name is None or self.fmt == "json":
            return {}
        return {"Content-Disposition": f'inline; filename="{self.name}.{self.fmt}"'}


@dataclass(frozen=True)
class Encoded:
    """A body as sent, and the headers that tell where it comes from."""

    body: bytes
    encoding: str | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.body)


def provenance_headers(head: Mapping[str, Any]) -> dict[str, str]:
    """A reply's heading as headers; members it lacks are left out."""
    found = {name: str(head[key]) for name, key in PROVENANCE.items() if head.get(key) is not None}
    return {**found, "X-Hotslot-Warnings": json.dumps(head.get("warnings", []))}


async def reply(
    request: Request, service: ForecastService, region: str, selector: Selector, maker: Maker
) -> Response:
    """A forecast's reply: from the cache when the same bytes were sent before."""
    plan = service.cached_plan(region, selector)
    if plan is None:
        plan = await run_in_threadpool(service.plan, region, selector)
    if maker.check is not None:
        maker.check(plan)
    key = ("reply", *plan.key, maker.fmt, *maker.variant)
    etag = f'W/"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={MAX_AGE_S}",
        "X-Hotslot-Model-Version": plan.version.record.version,
        "Vary": "Accept, Accept-Encoding",
    }
    if_none_match = request.headers.get("if-none-match")
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    wanted = encoding_of(request.headers.get("accept-encoding", ""), maker.media_type)
    found = service.cache.get((*key, wanted), Encoded)
    if found is None:
        found = await run_in_threadpool(_encoded, service, plan, maker, key, wanted)
    if (if_none_match or "").strip() == "*":  # holds when there is a reply at all: now it is known
        return Response(status_code=304, headers=headers)
    headers.update(found.headers)
    headers.update(maker.disposition())
    if found.encoding is not None:
        headers["Content-Encoding"] = found.encoding
    return Response(found.body, headers=headers, media_type=maker.media_type)


def _encoded(
    service: ForecastService, plan: Plan, maker: Maker, key: tuple[object, ...], wanted: str | None
) -> Encoded:

    def plain() -> Encoded:
        forecast = service.forecast_of(plan)
        give_way()
        body = maker.make(forecast)
        return Encoded(body, None, provenance_headers(forecast.heading()))

    def encode() -> Encoded:
        made = service.cache.get_or_make((*key, None), Encoded, plain, len)
        if wanted is None or len(made) < COMPRESS_FROM_BYTES:
            return made
        give_way()
        return Encoded(compressed(made.body, wanted), wanted, made.headers)

    with long_work():
        if wanted is None:
            return service.cache.get_or_make((*key, None), Encoded, plain, len)
        return service.cache.get_or_make((*key, wanted), Encoded, encode, len)


def single_reply(body: bytes, head: Mapping[str, Any], fmt: str) -> Response:
    """A reply that is not kept: what was asked came in a body, or is drawn anew each time.

    Args:
        head: what the reply says of itself; see `provenance_headers`.
        fmt: key of `MEDIA_TYPES`.
    """
    headers = {
        "ETag": f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        "Cache-Control": "no-store",
        **provenance_headers(head),
    }
    return Response(body, headers=headers, media_type=MEDIA_TYPES[fmt])
