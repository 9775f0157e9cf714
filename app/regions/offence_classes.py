"""Classes of offences, read from the names of categories.

A class is decided by what was done, not by a word that the name happens to contain: the burglary of a drug
store is a burglary, a theft from a drunk ("drunk roll") is a theft. So names are tried against the classes in
order (`offence_classes.toml`): phrases that would mislead, then offences with a victim who reports them, then
those that are mostly recorded because an officer was there. Names may be in English, Spanish, French, German,
Portuguese, Italian or Dutch.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OTHER = "other"


@dataclass(frozen=True)
class _Rule:
    name: str
    patrol: bool
    pattern: re.Pattern[str]


def _rules() -> list[_Rule]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return [
        _Rule(one["name"], one["patrol"], re.compile(rf"\b(?:{'|'.join(one['phrases'])})\b"))
        for one in table["class"]
    ]


_RULES = _rules()


@dataclass(frozen=True)
class OffenceClass:
    """The class of a category.

    Args:
        patrol: whether such incidents mostly show where officers were.
        rule: the words of the category that decided; empty for `other`.
    """

    name: str
    patrol: bool
    rule: str


@lru_cache(1 << 16)
def offence_class(category: str) -> OffenceClass:
    """Classify a category by its name.

    >>> [offence_class(c).name for c in ("DRUNK ROLL", "BURGLARY OF DRUG STORE", "WEAPON POSSESSION")]
    ['theft', 'burglary', 'weapons']
    >>> offence_class("ORDEN PÚBLICO")
    OffenceClass(name='public_order', patrol=True, rule='orden publico')
    """
    plain = unicodedata.normalize("NFKD", category).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[^\w.]+|_", " ", plain)
    for rule in _RULES:
        if match := rule.pattern.search(plain):
            return OffenceClass(rule.name, rule.patrol, match[0])
    return OffenceClass(OTHER, False, "")
