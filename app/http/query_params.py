"""Refuse misspelt parameters: `catgory=robbery` would answer for all categories and look right.

Other names that a route does not know are ignored, as is usual on the web: the same selectors may be
sent to routes that use only some of them.
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
"""Longest name compared: comparing takes time with the square of the length."""
MAX_UNKNOWN = 10
"""Names compared at most: a URL may have thousands, and each takes a fifth of a millisecond."""


def check_spelling(query: bytes, known: frozenset[str], anywhere: frozenset[str]) -> None:
    """Refuse a query parameter that no route has and that resembles one of this route.

    Args:
        query: the query string.
        known: names of the route's parameters.
        anywhere: names of all routes' parameters.

    Raises:
        InvalidInput: names the parameter that was probably meant.
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
                f"unknown parameter {shortened(name)}; did you mean {shortened(close[0])}?",
                field=name,
                code="unknown_parameter",
            )


_check_short = lru_cache(MAX_REMEMBERED)(_check)
"""Cache queries that passed: parsing one takes as long as sending a cached reply."""


def query_names(dependant: Dependant) -> frozenset[str]:
    """Collect the names of a route's query parameters, including those of its dependencies."""
    own = {parameter.alias for parameter in dependant.query_params}
    return frozenset(own.union(*map(query_names, dependant.dependencies)))


def query_capacity(dependant: Dependant) -> int:
    """Count the query parameters that a route can take; a list counts with its largest length."""
    own = 0
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        is_list = any(get_origin(part) is list for part in (annotation, *get_args(annotation)))
        bounds = [m.max_length for m in parameter.field_info.metadata if isinstance(m, MaxLen)]
        own += min(bounds, default=1) if is_list else 1
    return own + sum(map(query_capacity, dependant.dependencies))
