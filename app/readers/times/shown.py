"""Show a refused time without repeating what may name a person."""

from __future__ import annotations

import re

from app.core.texts import shortened
from app.readers.times.clocks import TIME_WORDS
from app.readers.times.month_names import MONTHS, folded, is_weekday

VALUE_CHARS = 60
_WORD = re.compile(r"[^\W\d_]+")
_PLAIN = frozenset(
    "t z utc gmt de del of at a à las la às um om no null none nan nat na nd sd s d n unk unknown "  # noqa: SIM905
    "desconocido desconocida inconnu unbekannt noon midnight mediodía medianoche st nd rd th er".split()
)


def shown_time(value: object) -> str:
    """Quote a value whose words are those of times; of other texts show the shape alone.

    >>> shown_time("31 de febrero de 2026 24:00"), shown_time("(null)"), shown_time("Karl, 22:30")
    ("'31 de febrero de 2026 24:00'", "'(null)'", "'xxxx, 99:99'")
    """
    if not isinstance(value, str):
        return shortened(value, VALUE_CHARS) if isinstance(value, int | float) else "no text"
    names_months = any(c.isdigit() for c in value)
    words = _WORD.findall(value[: 2 * VALUE_CHARS])
    if all(_is_plain(word, names_months=names_months) for word in words):
        return shortened(value, VALUE_CHARS)
    return shortened(re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", value)), VALUE_CHARS)


def _is_plain(word: str, *, names_months: bool) -> bool:
    """Return whether a word belongs to times; months are names too (April), so beside numbers only."""
    name = folded(word)
    is_named = names_months and (name in MONTHS or is_weekday(name))
    return is_named or word.casefold() in _PLAIN | TIME_WORDS
