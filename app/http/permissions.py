"""Which roles may use which route: said beside each route, gathered into one table.

A route without a declaration stops the service from starting, and a path that the table does not hold
is answered 404 before any handler is looked for: what nobody has opened stays shut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from app.core.roles import Role
from app.http.query_params import query_capacity, query_names
from app.http.request_limits import MAX_PARAMETERS

MAX_REMEMBERED = 4096
MAX_REMEMBERED_CHARS = 256
FRAMEWORK_PATHS = frozenset({"/openapi.json"})
"""Routes that FastAPI makes itself; they hold no data."""
ALWAYS_SERVED = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths that need no place: how the service is must be seen when it is full."""
_ATTRIBUTE = "hotslot_rule"
Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


class UndeclaredRoute(RuntimeError):
    """A route says nothing of who may use it: put `@allow(...)` or `@public` on its function."""


@dataclass(frozen=True)
class Rule:
    """Who may use a route.

    Args:
        roles: any of these; None means everyone, without a key.
        confined: outside of a region, whether a key that is confined to some regions will do.
        streams: its handler reads the body by itself, so that the limit of JSON does not apply.
        large: its body is parsed aside, so that it may be large.
        lasting: its reply is a stream of events; see `event_streams.py`.
        counted: name under which uses are counted for the audit log; None: they are not.
        parameters: names of its query parameters.
        path: its template.
        max_parameters: how many may be sent.
    """

    roles: frozenset[Role] | None
    confined: bool = False
    streams: bool = False
    lasting: bool = False
    large: bool = False
    counted: str | None = None
    parameters: frozenset[str] = frozenset()
    path: str = ""
    max_parameters: int = MAX_PARAMETERS


def allow(
    *roles: Role,
    confined: bool = False,
    streams: bool = False,
    lasting: bool = False,
    large: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Open a route to keys with any of these roles (see `Rule`)."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, Rule(frozenset(roles), confined, streams, lasting, large))
        return endpoint

    return declare


def public(endpoint: Endpoint) -> Endpoint:
    """Open a route to everyone: it shows nothing of any region."""
    setattr(endpoint, _ATTRIBUTE, Rule(None))
    return endpoint


@dataclass(frozen=True)
class Found:
    """What a request's method and path lead to.

    Args:
        rule: None: there is no such route; with `methods`, there are others of that path.
        region: the id in the path.
    """

    rule: Rule | None
    region: str | None = None
    methods: frozenset[str] = frozenset()


class RouteTable:
    """All routes with their rules, matched as the router itself matches them.

    Raises:
        UndeclaredRoute: a route has no rule.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self.routes = [(route, rule_of(route)) for route in routes if isinstance(route, Route)]
        self.parameters = frozenset[str]().union(*(rule.parameters for _, rule in self.routes))
        self._found: dict[tuple[str, str], Found] = {}

    def find(self, method: str, path: str) -> Found:
        """The first route that matches."""
        found = self._found.get((method, path))
        if found is None:
            found = self._search(method, path)
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            if len(path) <= MAX_REMEMBERED_CHARS:
                self._found[method, path] = found
        return found

    def _search(self, method: str, path: str) -> Found:
        others: dict[str, set[str]] = {}
        for route, rule in self.routes:
            match = route.path_regex.match(path)
            if match is None:
                continue
            if method in (route.methods or ()):
                return Found(rule, match.groupdict().get("region"))
            others.setdefault(route.path, set()).update(route.methods or ())
        # A literal path is also matched by its siblings with parameters; it is itself that is meant.
        nearest = min(others, key=lambda template: template.count("{"), default=None)
        return Found(None, None, frozenset(others[nearest] if nearest else ()))


def rule_of(route: Route) -> Rule:
    """A route's declaration.

    Raises:
        UndeclaredRoute: it has none.
    """
    if route.path in FRAMEWORK_PATHS:
        return Rule(None)
    rule: Rule | None = getattr(route.endpoint, _ATTRIBUTE, None)
    if rule is None:
        raise UndeclaredRoute(
            f"{sorted(route.methods or ())} {route.path}: {UndeclaredRoute.__doc__}"
        )
    is_read = "/{region}/forecasts/" in route.path or "/{region}/tiles/" in route.path
    rule = replace(rule, counted=route.name if is_read else None, path=route.path)
    if not isinstance(route, APIRoute):
        return rule
    names, capacity = query_names(route.dependant), query_capacity(route.dependant)
    return replace(rule, parameters=names, max_parameters=max(MAX_PARAMETERS, capacity))
