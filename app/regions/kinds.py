"""Kinds of incidents: one spelling each, aliases, groups and weights by region.

Names that differ only in case and spacing are one kind. An alias counts incidents of one name as another
kind, when they are read; what was sent stays stored. A group is a name for several kinds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from app.core.bounds import MAX_TEXT_CHARS

SETTINGS = "categories"
"""Member of a region's settings; its own members are `TABLES`."""
TABLES = ("aliases", "groups", "weights")


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


@dataclass(frozen=True)
class Alias:
    """Incidents named `name` count as `category`, from a local day on if there is one."""

    name: str
    category: str
    since: date | None = None


@dataclass(frozen=True)
class Kinds:
    """A region's choices; the keys are folded names.

    Args:
        revision: number of changes of the aliases; a version records the one it was trained with.
    """

    aliases: Mapping[str, Alias] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    revision: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Kinds:
        """Read a region's choices from its settings."""
        stored = settings.get(SETTINGS, {})
        aliases, groups, weights = (stored.get(table, {}) for table in TABLES)
        return cls(
            {folded(name): _alias(name, one) for name, one in aliases.get("names", {}).items()},
            {folded(name): tuple(members) for name, members in groups.get("names", {}).items()},
            {folded(name): (name, float(w)) for name, w in weights.get("names", {}).items()},
            int(aliases.get("revision", 0)),
        )

    def kind(self, name: str) -> str:
        """Return the kind that a name counts as today."""
        alias = self.aliases.get(folded(name))
        return name if alias is None else alias.category

    def expanded(self, asked: Iterable[str]) -> list[str]:
        """Return the kinds that names of groups, aliases and kinds stand for, each once."""
        found: dict[str, str] = {}
        for name in asked:
            for member in self.groups.get(folded(name), (name,)):
                kind = self.kind(member)
                found.setdefault(folded(kind), kind)
        return list(found.values())

    def weight(self, kind: str) -> float:
        """Return a kind's weight of harm; 0 where it has none."""
        return self.weights.get(folded(kind), (kind, 0.0))[1]


def _alias(name: str, stored: Mapping[str, Any]) -> Alias:
    since = stored.get("from")
    return Alias(name, stored["category"], None if since is None else date.fromisoformat(since))


@dataclass(frozen=True)
class KindKey:
    """What the incidents of one stored category count as.

    Args:
        now: their kind.
        before: their kind before `since_s`, UTC seconds; None: the same at all times.
    """

    now: str
    before: str | None = None
    since_s: int = 0


def kind_keys(
    known: Mapping[int, str], kinds: Kinds, instant_of: Callable[[date], int]
) -> dict[int, KindKey]:
    """Return what stored categories count as.

    Args:
        known: {key: name}.
        instant_of: returns the UTC seconds at which a local day starts.
    """
    spelt = {folded(name): name for name in reversed(list(known.values()))}
    found = {}
    for key, name in known.items():
        alias = kinds.aliases.get(folded(name))
        own = spelt[folded(name)]
        if alias is None:
            found[key] = KindKey(own)
            continue
        now = spelt.get(folded(alias.category), alias.category)
        if alias.since is None:
            found[key] = KindKey(now)
        else:
            found[key] = KindKey(now, own, instant_of(alias.since))
    return found
