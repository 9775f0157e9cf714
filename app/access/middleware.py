"""Authentication and authorisation, before any other middleware sees a request.

Pure ASGI, outside the response cache, so that a cached reply is subject to the same checks as a fresh
one. Refusals reveal nothing of what is stored: a region outside a key's scope is refused whether or not
it exists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.callers import AccessControl, asked, caller_of, credential, known, payer
from app.access.read_counter import NOBODY
from app.core.db.deadlines import answered_within
from app.core.db.replica import may_read_replica
from app.core.errors import (
    HotslotError,
    InvalidInput,
    PermissionRefused,
    RateLimited,
    Unauthenticated,
)
from app.core.processes.priority import under_way
from app.core.roles import Caller, Role, current_actor, key_id_of, seeing_unreleased
from app.http.metrics import SHED
from app.http.middleware.event_streams import EventStream
from app.http.middleware.rate_limit import address_of
from app.http.permissions import ALWAYS_SERVED, Found, RoutePolicy, RouteTable
from app.http.problems import problem, problem_of
from app.http.query_params import check_names
from app.http.request_limits import check_form


class Access:
    """Identify the caller, check roles, regions, rates and shares, and set the audit log's actor."""

    def __init__(self, app: ASGIApp, table: RouteTable) -> None:
        self.app = app
        self.table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        with seeing_unreleased(False):  # not inherited from whatever started this process
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        gate: AccessControl = scope["app"].state.gate
        found = self.table.find(scope["method"], scope["path"])
        try:
            serve = await self._decided(scope, gate, found)
        except HotslotError as refusal:
            if found.rule is not None and found.rule.roles is not None:
                _note_refusal(gate, scope, found.rule, refusal)
            serve = await _refusal(scope, gate, refusal)
        await serve(scope, receive, send)

    async def _decided(self, scope: Scope, gate: AccessControl, found: Found) -> ASGIApp:
        """Return the app that answers a request; it releases any place taken for the request.

        Raises:
            HotslotError: it is refused.
        """
        if found.rule is None:
            caller = payer(scope, gate)
            if caller is not None:
                scope.setdefault("state", {})["caller"] = caller
                gate.limiter.charge(caller)
            else:
                gate.addresses.charge_refused(address_of(scope))
            check_form(scope)
            return _no_route(found)
        if found.rule.roles is None:
            return await self._public(scope, gate)
        return await self._guarded(scope, gate, found, found.rule)

    async def _public(self, scope: Scope, gate: AccessControl) -> ASGIApp:
        """Serve a public file; its place is released once its first bytes are sent."""
        try:
            gate.addresses.charge_address(address_of(scope))
        except RateLimited:  # behind a proxy it may be anyone: slow down instead of refusing
            if scope["path"] not in ALWAYS_SERVED and gate.brake.is_full():
                raise
            await gate.brake.wait()
        check_form(scope)
        if scope["path"] in ALWAYS_SERVED:
            return self.app
        pool = gate.places.public
        pool.enter("")

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            held = True

            async def freeing(message: Message) -> None:
                nonlocal held
                if held:
                    held = False
                    pool.give_back("")
                await send(message)

            try:
                await self.app(scope, receive, freeing)
            finally:
                if held:
                    pool.give_back("")

        return serve

    async def _guarded(
        self, scope: Scope, gate: AccessControl, found: Found, rule: RoutePolicy
    ) -> ASGIApp:
        """Return the app for a route that requires a caller."""
        caller = known(scope, gate) or await asked(scope, gate)
        state = scope.setdefault("state", {})
        state["caller"] = caller
        gate.limiter.charge(caller)
        check_form(scope, rule.max_parameters)
        authorise(caller, rule, found.region)
        check_names(scope["query_string"], rule.parameters, self.table.parameters, rule.lists)
        pool = None
        if scope["path"] not in ALWAYS_SERVED:
            pool = gate.places.enter(caller, rule)
            state.update(
                streams_body=rule.streams, large_body=rule.large, turns=gate.places.turns_of(rule)
            )
        if rule.counted is not None and found.region is not None:
            gate.reads.note(caller.actor, found.region, rule.counted)
        app = EventStream(self.app, _check(scope, gate, found, rule)) if rule.lasting else self.app

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            token = current_actor.set(caller.actor)
            source = may_read_replica(found.region) if rule.replica else nullcontext()
            try:
                with seeing_unreleased(caller.lists_incidents), under_way(caller.actor), source:
                    await app(scope, receive, send)
            finally:
                current_actor.reset(token)
                if pool is not None:
                    pool.give_back(caller.actor)

        return serve


def _check(
    scope: Scope, gate: AccessControl, found: Found, rule: RoutePolicy
) -> Callable[[], Awaitable[None]]:
    """Return a check to repeat during a long-lived reply."""
    first: Caller = scope["state"]["caller"]

    async def check() -> None:
        with answered_within(gate.settings.database_timeout_s):
            caller = await caller_of(scope, gate)
        authorise(caller, rule, found.region)
        if caller.actor != first.actor or caller.roles != first.roles:
            raise PermissionRefused("the key's roles have changed: send the request again")

    return check


async def _refusal(scope: Scope, gate: AccessControl, refusal: HotslotError) -> ASGIApp:
    """Return the reply to a refused request; repeated anonymous refusals are rate-limited."""
    caller = scope.get("state", {}).get("caller")
    if caller is None and isinstance(refusal, Unauthenticated | PermissionRefused | InvalidInput):
        try:
            gate.addresses.charge_refused(address_of(scope))
        except RateLimited as limited:
            refusal = limited
    if isinstance(refusal, RateLimited):
        await gate.brake.wait(address_of(scope) if caller is None else caller.actor)
    if refusal.code == "overloaded":
        SHED.inc()
    return problem_of(refusal)


def _note_refusal(
    gate: AccessControl, scope: Scope, rule: RoutePolicy, refusal: HotslotError
) -> None:
    """Count a 401 or 403 for the audit log, by the id of a known key, never by its text."""
    if not isinstance(refusal, Unauthenticated | PermissionRefused):
        return
    caller: Caller | None = scope.get("state", {}).get("caller")
    actor = caller.actor if caller else key_id_of(credential(scope) or "")
    if caller is None and actor not in gate.ring.copy.keys:
        actor = NOBODY
    status = 401 if isinstance(refusal, Unauthenticated) else 403
    host = scope["client"][0] if scope.get("client") else None
    gate.reads.note_refusal(actor or NOBODY, host, f"{status} {scope['method']} {rule.path}")


def authorise(caller: Caller, rule: RoutePolicy, region: str | None) -> None:
    """Raise unless a caller may use the route.

    Raises:
        PermissionRefused: the roles do not suffice, or the region is out of scope.
    """
    roles = rule.roles or frozenset()
    if caller.roles.isdisjoint(roles):
        names = " or ".join(role.value for role in Role if role in roles)
        raise PermissionRefused(f"this requires the role {names}")
    if region is not None and not caller.sees(region):
        raise PermissionRefused("this key is limited to other regions", field="region")
    if region is None and caller.regions is not None and not rule.confined:
        raise PermissionRefused("this needs a key that is not limited to some regions")


def _no_route(found: Found) -> ASGIApp:
    if found.methods:
        allowed = {"Allow": ", ".join(sorted(found.methods))}
        return problem(405, "Method Not Allowed", "method_not_allowed", headers=allowed)
    return problem(404, "Not Found", "not_found")
