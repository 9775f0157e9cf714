"""Misspelt parameters: `catgory=robbery` would answer for all categories, and look right.

Other names that a route does not know are ignored, as everywhere on the web: one set of selectors may be
sent to routes that use some of them.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import get_args, get_origin
from urllib.parse import parse_qsl

from annotated_types import MaxLen
from fastapi.dependencies.models import Dependant

from app.core.errors import InvalidInput
from app.core.texts import shortened

LIKENESS = 0.75
MAX_REMEMBERED = 1024
MAX_REMEMBERED_BYTES = 512
MAX_NAME_CHARS = 40
"""No misspelling is longer, and likeness takes time with the square of the length."""
MAX_UNKNOWN = 10
"""Names that are looked at: a long address may have thousands, and each takes a fifth of a millisecond."""


def refuse_misspelt(query: bytes, known: frozenset[str], anywhere: frozenset[str]) -> None:
    """Refuse a query parameter that is no route's and like one that this route has.

    Args:
        query: the query string.
        known: names of the route's parameters.
        anywhere: names of all routes' parameters.

    Raises:
        InvalidInput: it names the parameter that was likely meant.
    """
    if len(query) <= MAX_REMEMBERED_BYTES:
        _check_short(query, known, anywhere)
    else:
        _check(query, known, anywhere)


def _check(query: bytes, known: frozenset[str], anywhere: frozenset[str]) -> None:
    given = dict.fromkeys(n for n, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    unknown = (n for n in given if n not in anywhere and len(n) <= MAX_NAME_CHARS)
    for name in islice(unknown, MAX_UNKNOWN):
        if close := get_close_matches(name, sorted(known), 1, LIKENESS):
            raise InvalidInput(
                f"there is no parameter {shortened(name)}; is {shortened(close[0])} meant?",
                field=name,
                code="unknown_parameter",
            )


_check_short = lru_cache(MAX_REMEMBERED)(_check)
"""Queries that passed are remembered: reading one takes as long as sending a remembered reply."""


def query_names(dependant: Dependant) -> frozenset[str]:
    """Names of a route's query parameters, its dependencies' among them."""
    own = {parameter.alias for parameter in dependant.query_params}
    return frozenset(own.union(*map(query_names, dependant.dependencies)))


def query_capacity(dependant: Dependant) -> int:
    """How many query parameters a route can use: lists as many as they may be long."""
    own = 0
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        is_list = any(get_origin(part) is list for part in (annotation, *get_args(annotation)))
        bounds = [m.max_length for m in parameter.field_info.metadata if isinstance(m, MaxLen)]
        own += min(bounds, default=1) if is_list else 1
    return own + sum(map(query_capacity, dependant.dependencies))
