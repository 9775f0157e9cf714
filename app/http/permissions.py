"""Declare beside each route which roles may use it, and collect the declarations in one table.

A route without a declaration stops the service from starting, and a path that is not in the table is
answered 404 before any handler is looked up: what is not declared is closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from app.core.roles import Role
from app.http.query_params import query_capacity
from app.http.request_limits import MAX_PARAMETERS

MAX_REMEMBERED = 4096
MAX_REMEMBERED_CHARS = 256
FRAMEWORK_PATHS = frozenset({"/openapi.json"})
"""Routes that the framework makes; they show no data."""
ALWAYS_SERVED = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths that need no place in a pool: health must be visible under full load."""
COUNTED_PATHS = ("/{region}/forecasts/", "/{region}/tiles/", "/ogc/collections/{region}.{kind}/")
"""Parts of paths of routes whose uses the audit log counts: they show forecasts."""
REPLICA_PATHS = re.compile(
    r"/v1/regions(/{region}(/(alarms|categories|fairness-report|forecasts|incidents|layers|learning-policy"
    r"|mappings|models|presence|state|streets|tiles)(/.*)?)?)?|/ogc(/.*)?"
)
"""Templates of paths whose GET requests may read from a replica: runs and what writes are not among them."""
_ATTRIBUTE = "hotslot_rule"
Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


class UndeclaredRoute(RuntimeError):
    """A route does not declare who may use it: put `@allow(...)` or `@public` on its function."""


@dataclass(frozen=True)
class RoutePolicy:
    """Who may use a route.

    Args:
        roles: any of these; None means everyone, without a key.
        confined: outside of a region, whether keys that are confined to some regions may use it.
        streams: its handler reads the body, so that the size limit of JSON does not apply.
        large: its body is parsed in another thread, so that it may be large.
        lasting: its reply is a stream of events; see `event_streams.py`.
        replica: whether it may read from a replica of the database.
        counted: name under which the audit log counts its uses; None: not counted.
        parameters: names of its query parameters.
        lists: those that may be repeated.
        path: its template.
        max_parameters: largest number of query parameters.
    """

    roles: frozenset[Role] | None
    confined: bool = False
    streams: bool = False
    lasting: bool = False
    large: bool = False
    replica: bool = False
    counted: str | None = None
    parameters: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    path: str = ""
    max_parameters: int = MAX_PARAMETERS


def allow(
    *roles: Role,
    confined: bool = False,
    streams: bool = False,
    lasting: bool = False,
    large: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Open a route to keys with any of these roles; see `RoutePolicy`."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(
            endpoint, _ATTRIBUTE, RoutePolicy(frozenset(roles), confined, streams, lasting, large)
        )
        return endpoint

    return declare


def public(endpoint: Endpoint) -> Endpoint:
    """Open a route that shows nothing of any region to everyone."""
    setattr(endpoint, _ATTRIBUTE, RoutePolicy(None))
    return endpoint


@dataclass(frozen=True)
class Found:
    """What a request's method and path match.

    Args:
        rule: None: no such route; `methods` then lists the methods of that path.
        region: the id in the path.
    """

    rule: RoutePolicy | None
    region: str | None = None
    methods: frozenset[str] = frozenset()


class RouteTable:
    """All routes with their rules, matched in the same way as by the router.

    Raises:
        UndeclaredRoute: a route has no rule.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self.routes = [(route, rule_of(route)) for route in routes if isinstance(route, Route)]
        self.parameters = frozenset[str]().union(*(rule.parameters for _, rule in self.routes))
        self._found: dict[tuple[str, str], Found] = {}

    def find(self, method: str, path: str) -> Found:
        """Find the first route that matches."""
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
        # Routes with parameters also match a literal path; the one with the fewest is meant.
        nearest = min(others, key=lambda template: template.count("{"), default=None)
        return Found(None, None, frozenset(others[nearest] if nearest else ()))


def rule_of(route: Route) -> RoutePolicy:
    """Return a route's declaration.

    Raises:
        UndeclaredRoute: it has none.
    """
    if route.path in FRAMEWORK_PATHS:
        return RoutePolicy(None)
    rule: RoutePolicy | None = getattr(route.endpoint, _ATTRIBUTE, None)
    if rule is None:
        raise UndeclaredRoute(
            f"{sorted(route.methods or ())} {route.path}: {UndeclaredRoute.__doc__}"
        )
    is_read = any(part in route.path for part in COUNTED_PATHS)
    rule = replace(
        rule,
        replica="GET" in (route.methods or ()) and bool(REPLICA_PATHS.fullmatch(route.path)),
        counted=route.name if is_read else None,
        path=route.path,
    )
    if not isinstance(route, APIRoute):
        return rule
    capacity = query_capacity(route.dependant)
    return replace(
        rule,
        parameters=frozenset(capacity),
        lists=frozenset(name for name, times in capacity.items() if times > 1),
        max_parameters=max(MAX_PARAMETERS, sum(capacity.values())),
    )
