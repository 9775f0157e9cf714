"""Numbers as people write them: thousands separated, decimals after a comma."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

LOOKED_AT = 1_000
"""Values of a column that show whether its numbers are written in another way."""
MARKS = frozenset(",'’ \u00a0\u202f")


@dataclass(frozen=True)
class Style:
    """A way to write numbers: what separates thousands, and what precedes decimals."""

    thousands: str
    decimal: str

    def pattern(self) -> str:
        """Return what the whole text must match."""
        mark, point = re.escape(self.thousands), re.escape(self.decimal)
        return rf"[+-]?(?:\d{{1,3}}(?:{mark}\d{{3}})+|\d+)(?:{point}\d+)?"

    def proof(self) -> str:
        """Return what occurs in no other style: two marks, both kinds, or decimals that are no thousands."""
        mark, point = re.escape(self.thousands), re.escape(self.decimal)
        found = [rf"{mark}\d{{3}}{mark}", rf"{mark}.*{point}"]
        if self.thousands not in ",.":
            found.append(mark)
        if self.decimal == ",":
            found += [r"\d{4},\d", r",\d{1,2}$", r",\d{4}"]
        return "|".join(found)


STYLES = tuple(
    Style(thousands, decimal)
    for thousands, decimal in (
        (",", "."),
        (".", ","),
        *((m, d) for m in "'’ \u00a0\u202f" for d in ".,"),
    )
)


def _is_marked(text: str) -> bool:
    return not MARKS.isdisjoint(text) or text.count(".") > 1


def plain_numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Rewrite texts of a column such as `1,234,567.8` and `1.234.567,8`, if the column proves its style.

    One that may be either (`512,345`) stays as written, so that it is refused by its name.

    >>> plain_numbers(pd.Series(["1,234,567.8", "512,345"], dtype=object)).tolist()
    ['1234567.8', '512345']
    >>> plain_numbers(pd.Series(["512345,80", "98,765"], dtype=object)).tolist()
    ['512345.80', '98.765']
    >>> plain_numbers(pd.Series(["512,345"], dtype=object)).tolist()
    ['512,345']
    """
    if not any(isinstance(v, str) and _is_marked(v.strip()) for v in values.head(LOOKED_AT)):
        return values
    texts = pd.Series([v.strip() if isinstance(v, str) else None for v in values], dtype=object)
    given = texts[texts.notna() & (texts != "")]
    for style in STYLES:
        fits = given.str.fullmatch(style.pattern())
        if fits.all() and given.str.contains(style.proof()).any():
            plain = given.str.replace(style.thousands, "", regex=False)
            plain = plain.str.replace(style.decimal, ".", regex=False)
            return values.where(texts.isna() | (texts == ""), plain.reindex(values.index))
    return values
