"""Kinds of incidents: names that differ only in case and spacing are one."""

from __future__ import annotations

import unicodedata

from app.core.bounds import MAX_TEXT_CHARS


def folded(name: str) -> str:
    """Return the form in which equal kinds are equal: no case, single spaces, compatibility forms.

    >>> folded(" THEFT  from car") == folded("Theft from Car")
    True
    >>> folded("Robo")
    'robo'
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    found = " ".join(plain.split())
    # Some letters fold to several: such a name is its own fold.
    return found if 0 < len(found) <= MAX_TEXT_CHARS else name
