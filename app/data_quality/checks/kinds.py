"""Kinds of incidents: one that stops as another starts, and names that differ only in spelling."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

REMAINING = 0.05
"""A kind has stopped if its rate fell to this share; it has started if that is what it was before."""
MIN_EVIDENCE = 15.0
"""Log likelihood ratio of a change against none: so little by chance that any week may be tried."""
WEEKS_APART = 2
WEEKS_SILENT = 3.0
"""A change is dated to within this many times the usual gap between two of the kind's incidents."""
SIMILAR_RATE = 3.0


@dataclass(frozen=True)
class Change:
    """The week at which a kind stops or starts; rates are incidents a week."""

    kind: int
    week: int
    before: float
    after: float

    @property
    def stops(self) -> bool:
        """Whether the kind stops."""
        return self.after < self.before


@dataclass(frozen=True)
class Renaming:
    """Kinds (positions) that stop in the week in which others start, at about their rate in sum."""

    week: int
    ended: list[int]
    began: list[int]


def changes_of(weekly: NDArray[np.int64]) -> list[Change]:
    """Return the kinds whose rate falls to, or rises from, at most a twentieth at one week.

    Each kind's week is the likeliest single change of a Poisson rate.

    Args:
        weekly: (kinds, weeks) incidents.
    """
    found = [_change(kind, counts) for kind, counts in enumerate(weekly)]
    return [change for change in found if change is not None]


def _change(kind: int, counts: NDArray[np.int64]) -> Change | None:
    total, n_weeks = float(counts.sum()), len(counts)
    if n_weeks < 2 or total < MIN_EVIDENCE:
        return None
    before_n = np.cumsum(counts)[:-1].astype(np.float64)
    before_w = np.arange(1, n_weeks, dtype=np.float64)
    after_n, after_w = total - before_n, n_weeks - before_w
    evidence = (
        xlogy(before_n, before_n / before_w)
        + xlogy(after_n, after_n / after_w)
        - xlogy(total, total / n_weeks)
    )
    place = int(evidence.argmax())
    before, after = float(before_n[place] / before_w[place]), float(after_n[place] / after_w[place])
    if evidence[place] < MIN_EVIDENCE or min(before, after) > REMAINING * max(before, after):
        return None
    return Change(kind, place + 1, before, after)


def renamings(weekly: NDArray[np.int64]) -> list[Renaming]:
    """Find kinds that stop as others start, in order of time.

    The weeks of their changes lie within two weeks of each other, or within three of the usual gaps between
    two incidents of the rarer kind; together those that start have a third to three times the rate of
    those that stop.

    Args:
        weekly: (kinds, weeks) incidents of consecutive weeks.
    """
    changes = sorted(changes_of(weekly), key=lambda change: change.week)
    found = []
    for group in _near(changes):
        ended = [change for change in group if change.stops]
        began = [change for change in group if not change.stops]
        if not ended or not began:
            continue
        ratio = sum(c.after for c in began) / sum(c.before for c in ended)
        if 1 / SIMILAR_RATE <= ratio <= SIMILAR_RATE:
            largest = max(group, key=lambda change: change.before + change.after)
            found.append(Renaming(largest.week, [c.kind for c in ended], [c.kind for c in began]))
    return found


def _near(changes: Sequence[Change]) -> list[list[Change]]:
    """Group changes, sorted by week, that may be of one date."""
    groups: list[list[Change]] = []
    for change in changes:
        if groups and change.week - groups[-1][0].week <= min(
            _leeway(change), _leeway(groups[-1][0])
        ):
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups


def _leeway(change: Change) -> float:
    return max(WEEKS_APART, WEEKS_SILENT / max(change.before, change.after))


def spellings(names: Iterable[str]) -> list[list[str]]:
    """Group names that differ only in case, spacing, width or punctuation.

    >>> spellings(["Theft", "THEFT", "theft ", "Auto-theft", "auto theft", "Arson"])
    [['THEFT', 'Theft', 'theft '], ['Auto-theft', 'auto theft']]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        plain = unicodedata.normalize("NFKC", name).casefold()
        groups[re.sub(r"[\W_]+", " ", plain).strip()].append(name)
    return sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)
