"""Who is calling, and whether they may: decided before anything else looks at a request.

Pure ASGI, outside of the reply memo, so that a remembered reply is given to nobody whose key would not
get it fresh. Refusals tell nothing of what is stored: a region outside a key's scope is refused alike
whether it exists or not.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.local_access import check_local
from app.api.misspelt import refuse_misspelt
from app.api.problems import problem, problem_of
from app.api.rate_limit import RateLimiter
from app.api.rules import Found, RouteTable, Rule
from app.config import Settings
from app.domain.access import (
    LOCAL,
    Caller,
    Role,
    current_actor,
    key_id_of,
    sees_unreleased,
)
from app.domain.errors import HotslotError, PermissionRefused, Unauthenticated
from app.services.key_ring import REREAD_EVERY_S, KeyRing
from app.services.oidc import TokenVerifier
from app.services.read_audit import NOBODY, ReadCounter

T = TypeVar("T")


@dataclass(frozen=True)
class Gate:
    """What deciding needs, one per process; made in the lifespan."""

    settings: Settings
    ring: KeyRing
    tokens: TokenVerifier | None
    limiter: RateLimiter
    reads: ReadCounter


class Access:
    """Finds the caller, holds them to roles, regions and rates, and names them to the audit log."""

    def __init__(self, app: ASGIApp, table: RouteTable) -> None:
        self.app = app
        self.table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise PermissionRefused("there are no websockets here")
        found = self.table.find(scope["method"], scope["path"])
        if found.rule is None:
            await _no_route(found)(scope, receive, send)
        elif found.rule.roles is None:
            await self.app(scope, receive, send)
        else:
            await self._guarded(scope, receive, send, found, found.rule)

    async def _guarded(
        self, scope: Scope, receive: Receive, send: Send, found: Found, rule: Rule
    ) -> None:
        gate: Gate = scope["app"].state.gate
        caller: Caller | None = None
        try:
            caller = await caller_of(scope, gate)
            authorise(caller, rule, found.region)
            refuse_misspelt(scope["query_string"], rule.parameters, self.table.parameters)
            gate.limiter.enter(caller)
        except HotslotError as refusal:
            _note_refusal(gate, scope, rule, caller, refusal)
            await problem_of(refusal)(scope, receive, send)
            return
        if rule.counted is not None and found.region is not None:
            gate.reads.note(caller.actor, found.region, rule.counted)
        scope.setdefault("state", {}).update(caller=caller, streams_body=rule.streams)
        token = current_actor.set(caller.actor)
        sight = sees_unreleased.set(caller.lists_incidents)
        try:
            await self.app(scope, receive, send)
        finally:
            current_actor.reset(token)
            sees_unreleased.reset(sight)
            gate.limiter.leave(caller)


def _note_refusal(
    gate: Gate, scope: Scope, rule: Rule, caller: Caller | None, refusal: HotslotError
) -> None:
    """Count a 401 or 403 for the audit log, by the id of a key that is known; never by its text."""
    if not isinstance(refusal, Unauthenticated | PermissionRefused):
        return
    actor = caller.actor if caller else key_id_of(_credential(scope) or "")
    if caller is None and actor not in gate.ring.copy.keys:
        actor = NOBODY
    status = 401 if isinstance(refusal, Unauthenticated) else 403
    host = scope["client"][0] if scope.get("client") else None
    gate.reads.note_refusal(actor or NOBODY, host, f"{status} {scope['method']} {rule.path}")


async def caller_of(scope: Scope, gate: Gate) -> Caller:
    """Who sends a request.

    Raises:
        Unauthenticated: no key or token, or none that is good.
        PermissionRefused: without keys: another site's page, another machine's name.
        Unavailable: the keys cannot be read.
    """
    credential = _credential(scope)
    if not gate.ring.usable():
        await _shared(gate.ring.fresh())
    if not gate.ring.copy.keys and gate.tokens is None and gate.settings.access == "auto":
        check_local(scope, gate.settings)
        return LOCAL
    if credential is None:
        raise Unauthenticated("a key is needed: send it in the header X-API-Key")
    caller = gate.ring.caller_of(credential)
    if caller is None and key_id_of(credential) is not None:
        await _read_again(gate.ring)
        caller = gate.ring.caller_of(credential)
    elif caller is None and gate.tokens is not None:
        caller = gate.tokens.remembered(credential)
        if caller is None:
            caller = await _shared(gate.tokens.verify(credential))
    if caller is None:
        raise Unauthenticated("this key is unknown, expired or revoked", code="bad_key")
    return caller


def authorise(caller: Caller, rule: Rule, region: str | None) -> None:
    """Nothing when the caller may use the route.

    Raises:
        PermissionRefused: the roles do not suffice, or the region is out of scope.
    """
    roles = rule.roles or frozenset()
    if caller.roles.isdisjoint(roles):
        names = " or ".join(role.value for role in Role if role in roles)
        raise PermissionRefused(f"this needs the role {names}")
    if region is not None and not caller.sees(region):
        raise PermissionRefused("this key is confined to other regions", field="region")
    if region is None and caller.regions is not None and not rule.confined:
        raise PermissionRefused("this needs a key that is not confined to some regions")


def _credential(scope: Scope) -> str | None:
    """The key or token of a request, if it sends one."""
    bearer = None
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return str(value.decode("latin-1"))
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = value[7:].strip().decode("latin-1")
    return bearer


async def _read_again(ring: KeyRing) -> None:
    """Wait for keys as they are now: one that is not known may have been made a moment ago."""
    asked = time.monotonic()
    await asyncio.sleep(max(0.0, REREAD_EVERY_S - ring.copy.age_s()))
    while ring.copy.read_at < asked:
        await _shared(ring.fresh())


async def _shared(future: Future[T]) -> T:
    """The result of a future that others wait for too: our cancellation is not theirs."""
    return await asyncio.shield(asyncio.wrap_future(future))


def _no_route(found: Found) -> ASGIApp:
    if found.methods:
        allowed = {"Allow": ", ".join(sorted(found.methods))}
        return problem(405, "Method Not Allowed", "method_not_allowed", headers=allowed)
    return problem(404, "Not Found", "not_found")
