"""Replies of forecasts: cached bytes, ETags, compression, one version named in the header."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api.compression import COMPRESS_FROM_BYTES, compressed, encoding_of
from app.api.state import ApiState
from app.services.forecast import Forecast, Plan, Selector

MAX_AGE_S = 60


@dataclass(frozen=True)
class Maker:
    """How to make a reply: `variant` tells it from others of the same plan."""

    variant: tuple[object, ...]
    media_type: str
    make: Callable[[Forecast], bytes]
    filename: str | None = None


@dataclass(frozen=True)
class Encoded:
    """A body as sent."""

    body: bytes
    encoding: str | None

    def __len__(self) -> int:
        return len(self.body)


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client holds this reply already (weak comparison, RFC 9110)."""
    if if_none_match is None:
        return False
    held = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in held or etag.removeprefix("W/") in held


async def reply(
    request: Request, state: ApiState, region: str, selector: Selector, maker: Maker
) -> Response:
    """A forecast's reply: from the cache when the same bytes were sent before."""
    service = state.forecasts
    plan = service.cached_plan(region, selector)
    if plan is None:
        plan = await run_in_threadpool(service.plan, region, selector)
    key = ("reply", *plan.key, *maker.variant)
    etag = f'W/"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={MAX_AGE_S}",
        "X-Hotslot-Model-Version": plan.version.record.version,
        "Vary": "Accept, Accept-Encoding",
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    wanted = encoding_of(request.headers.get("accept-encoding", ""), maker.media_type)
    found = service.cache.get((*key, wanted), Encoded)
    if found is None:
        found = await run_in_threadpool(_encoded, state, plan, maker, key, wanted)
    if found.encoding is not None:
        headers["Content-Encoding"] = found.encoding
    if maker.filename is not None:
        headers["Content-Disposition"] = f'inline; filename="{maker.filename}"'
    return Response(found.body, headers=headers, media_type=maker.media_type)


def _encoded(
    state: ApiState, plan: Plan, maker: Maker, key: tuple[object, ...], wanted: str | None
) -> Encoded:
    service = state.forecasts

    def plain() -> Encoded:
        return Encoded(maker.make(service.forecast_of(plan)), None)

    def encode() -> Encoded:
        made = service.cache.get_or_make((*key, None), Encoded, plain, len)
        if wanted is None or len(made) < COMPRESS_FROM_BYTES:
            return made
        return Encoded(compressed(made.body, wanted), wanted)

    if wanted is None:
        return service.cache.get_or_make((*key, None), Encoded, plain, len)
    return service.cache.get_or_make((*key, wanted), Encoded, encode, len)
