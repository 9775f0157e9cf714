"""Replies of forecasts: cached bytes, ETags, compression and provenance headers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.media_types import MEDIA_TYPES
from app.core.processes.priority import give_way, long_work
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Plan, Selector
from app.forecasts.replies.shared_replies import Encoded
from app.forecasts.service import ForecastService
from app.http.content_negotiation import matches
from app.http.metrics import REPLIES
from app.http.middleware.compression import COMPRESS_FROM_BYTES, compressed, encoding_of
from app.registry.artifacts import ArtifactCorrupt

MAX_AGE_S = 60
PROVENANCE = {
    "X-Hotslot-Model": "model",
    "X-Hotslot-Model-Version": "model_version",
    "X-Hotslot-Trained-Until": "trained_until",
    "X-Hotslot-State": "state",
    "X-Hotslot-Data-Until": "data_until",
    "X-Hotslot-Lead-Hours": "lead_hours",
    "X-Hotslot-Generated-At": "generated_at",
    "X-Hotslot-At": "at",
    "X-Hotslot-Expected-Total": "expected_total",
    "X-Hotslot-Expected-Total-Lo": "expected_total_lo",
    "X-Hotslot-Expected-Total-Hi": "expected_total_hi",
}
"""Headers that give the members of the JSON heading for any format."""


@dataclass(frozen=True)
class ResponseSpec:
    """How to build a reply.

    Args:
        variant: distinguishes it from other replies of the same plan.
        fmt: key of `MEDIA_TYPES`.
        make: builds the body.
        name: name of the file that a browser saves.
        check: raises for a plan that would be too expensive, before any computation.
        only_shown: whether it says nothing of cells outside the requested box and area.
    """

    variant: tuple[object, ...]
    fmt: str
    make: Callable[[Forecast], bytes]
    name: str | None = None
    check: Callable[[Plan], None] | None = None
    only_shown: bool = False

    @property
    def media_type(self) -> str:
        """Value of `Content-Type`."""
        return MEDIA_TYPES[self.fmt]

    def key(self, plan: Plan) -> tuple[object, ...]:
        """Return the key under which the reply of a plan is cached."""
        return ("reply", *plan.key, self.fmt, *self.variant)

    def disposition(self) -> dict[str, str]:
        """Return the header with the file's name, for formats that browsers save."""
        if self.name is None or self.fmt == "json":
            return {}
        return {"Content-Disposition": f'inline; filename="{self.name}.{self.fmt}"'}


def provenance_headers(head: Mapping[str, Any]) -> dict[str, str]:
    """Return the heading of a reply as headers, without missing members."""
    found = {name: str(head[key]) for name, key in PROVENANCE.items() if head.get(key) is not None}
    return {**found, "X-Hotslot-Warnings": json.dumps(head.get("warnings", []))}


async def reply(
    request: Request, service: ForecastService, region: str, selector: Selector, spec: ResponseSpec
) -> Response:
    """Reply with a forecast, from a cache if possible."""
    try:
        return await _reply(request, service, region, selector, spec)
    except ArtifactCorrupt:
        # A row of a version that was intact when it was checked: planned again, it is checked again.
        return await _reply(request, service, region, selector, spec)


async def _reply(
    request: Request, service: ForecastService, region: str, selector: Selector, spec: ResponseSpec
) -> Response:
    plan = service.cached_plan(region, selector)
    if plan is None:
        plan = await run_in_threadpool(service.plan, region, selector)
    if spec.check is not None:
        spec.check(plan)
    key = spec.key(plan)
    etag = f'W/"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={MAX_AGE_S}",
        "X-Hotslot-Model-Version": plan.version.record.version,
        "X-Hotslot-State": plan.version.state_id,
        "Vary": "Accept, Accept-Encoding",
    }
    if_none_match = request.headers.get("if-none-match")
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    wanted = encoding_of(request.headers.get("accept-encoding", ""), spec.media_type)
    found = service.cache.get((*key, wanted), Encoded)
    if found is not None:
        REPLIES.labels("memory").inc()
    else:
        found = await run_in_threadpool(_encoded, service, plan, spec, key, wanted)
    if (
        if_none_match or ""
    ).strip() == "*":  # true if there is a reply at all, which is known only now
        return Response(status_code=304, headers=headers)
    headers.update(found.headers)
    headers.update(spec.disposition())
    if found.encoding is not None:
        headers["Content-Encoding"] = found.encoding
    return Response(found.body, headers=headers, media_type=spec.media_type)


def body_of(service: ForecastService, plan: Plan, spec: ResponseSpec) -> Encoded:
    """Return the reply to a plan without compression, from a cache if possible; for use in `long_work`."""
    return _cached(service, plan, (*spec.key(plan), None), lambda: _plain(service, plan, spec))


def _cached(
    service: ForecastService, plan: Plan, key: tuple[object, ...], make: Callable[[], Encoded]
) -> Encoded:
    """Return a reply from this process's cache, from the one that all share, or made and put in both."""

    def shared() -> Encoded:
        found = service.shared.get(plan, key)
        REPLIES.labels("made" if found is None else "shared").inc()
        if found is None:
            found = make()
            service.shared.put(plan, key, found)
        return found

    return service.cache.get_or_make(key, Encoded, shared, len)


def _plain(service: ForecastService, plan: Plan, spec: ResponseSpec) -> Encoded:
    give_way()
    forecast = service.forecast_of(plan, spec.only_shown)
    give_way()
    body = spec.make(forecast)
    return Encoded(body, None, provenance_headers(forecast.heading()))


def _encoded(
    service: ForecastService,
    plan: Plan,
    spec: ResponseSpec,
    key: tuple[object, ...],
    wanted: str | None,
) -> Encoded:
    def encode() -> Encoded:
        plain = (*key, None)
        # Not shared: whoever asks for it next most likely asks for it as encoded as this caller.
        made = service.cache.get_or_make(plain, Encoded, lambda: _plain(service, plan, spec), len)
        if len(made) < COMPRESS_FROM_BYTES:
            return made
        give_way()
        return Encoded(compressed(made.body, str(wanted)), wanted, made.headers)

    with long_work():
        if wanted is None:
            return body_of(service, plan, spec)
        return _cached(service, plan, (*key, wanted), encode)


def single_reply(body: bytes, head: Mapping[str, Any], fmt: str) -> Response:
    """Return a reply that is not cached, because it depends on a body or on random draws.

    Args:
        body: the content.
        head: heading of the reply; see `provenance_headers`.
        fmt: key of `MEDIA_TYPES`.
    """
    headers = {
        "ETag": f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        "Cache-Control": "no-store",
        **provenance_headers(head),
    }
    return Response(body, headers=headers, media_type=MEDIA_TYPES[fmt])
