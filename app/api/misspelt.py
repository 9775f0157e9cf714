"""Misspelt parameters: `catgory=robbery` would answer for all categories, and look right.

Other names that a route does not know are ignored, as everywhere on the web: one set of selectors may be
sent to routes that use some of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.domain.errors import InvalidInput

LIKENESS = 0.75
MAX_NAME_CHARS = 40
"""No misspelling is longer, and likeness takes time with the square of the length."""


class RefuseMisspelt:
    """A dependency of all routes; these are the ones whose names are known."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self.names = {r.endpoint: _names(r.dependant) for r in routes if isinstance(r, APIRoute)}
        self.anywhere = frozenset[str]().union(*self.names.values())

    async def __call__(self, request: Request) -> None:
        """Nothing, unless a query parameter is no route's and like one that this route has.

        Raises:
            InvalidInput: it names the parameter that was likely meant.
        """
        for name in request.query_params:
            if name in self.anywhere or len(name) > MAX_NAME_CHARS:
                continue
            known = self.names.get(request.scope["route"].endpoint, frozenset())
            if close := get_close_matches(name, sorted(known), 1, LIKENESS):
                raise InvalidInput(
                    f"there is no parameter {name!r}; is {close[0]!r} meant?",
                    field=name,
                    code="unknown_parameter",
                )


def _names(dependant: Dependant) -> frozenset[str]:
    """Of query parameters, its dependencies' among them."""
    own = {parameter.alias for parameter in dependant.query_params}
    return frozenset(own.union(*map(_names, dependant.dependencies)))
