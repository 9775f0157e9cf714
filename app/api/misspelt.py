"""Misspelt parameters: `catgory=robbery` would answer for all categories, and look right.

Other names that a route does not know are ignored, as everywhere on the web: one set of selectors may be
sent to routes that use some of them.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant

from app.domain.errors import InvalidInput

LIKENESS = 0.75
MAX_NAME_CHARS = 40
"""No misspelling is longer, and likeness takes time with the square of the length."""


def refuse_misspelt(query: bytes, known: Collection[str], anywhere: Collection[str]) -> None:
    """Nothing, unless a query parameter is no route's and like one that this route has.

    Args:
        query: the query string.
        known: names of the route's parameters.
        anywhere: names of all routes' parameters.

    Raises:
        InvalidInput: it names the parameter that was likely meant.
    """
    for name in dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)):
        if name in anywhere or len(name) > MAX_NAME_CHARS:
            continue
        if close := get_close_matches(name, sorted(known), 1, LIKENESS):
            raise InvalidInput(
                f"there is no parameter {name!r}; is {close[0]!r} meant?",
                field=name,
                code="unknown_parameter",
            )


def query_names(dependant: Dependant) -> frozenset[str]:
    """Names of a route's query parameters, its dependencies' among them."""
    own = {parameter.alias for parameter in dependant.query_params}
    return frozenset(own.union(*map(query_names, dependant.dependencies)))
