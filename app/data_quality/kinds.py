"""The kinds of a data report: renamed ones, spellings, and which of them models learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.data_quality.checks.kinds import Renaming, renamings, spellings
from app.data_quality.store import KindWeek
from app.regions.learning_policy import LearningPolicy


def counts_of(weeks: Sequence[KindWeek]) -> dict[str, int]:
    """Return {kind: incidents}, most first."""
    counts: Counter[str] = Counter()
    for one in weeks:
        counts[one.name] += one.n_incidents
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def kinds_report(
    weeks: Sequence[KindWeek], first_week: int, policy: LearningPolicy
) -> dict[str, Any]:
    """Return renamed kinds, kinds that differ in spelling only, and the rule for each kind.

    Args:
        first_week: where the main series begins; earlier weeks do not count for changes.
    """
    names = list(counts_of(weeks))
    return {
        "renamed": _renamed([one for one in weeks if one.week >= first_week]),
        "spellings": spellings(names),
        "rules": [vars(policy.category_rule(name)) for name in names],
    }


def _renamed(weeks: Sequence[KindWeek]) -> list[dict[str, Any]]:
    if not weeks:
        return []
    names = sorted({one.name for one in weeks})
    code = {name: i for i, name in enumerate(names)}
    first = min(one.week for one in weeks)
    weekly = np.zeros((len(names), max(one.week for one in weeks) - first + 1), np.int64)
    for one in weeks:
        weekly[code[one.name], one.week - first] = one.n_incidents
    return [_dated(found, weeks, names, first) for found in renamings(weekly)]


def _dated(
    found: Renaming, weeks: Sequence[KindWeek], names: Sequence[str], first: int
) -> dict[str, Any]:
    """Name the kinds of a change, with the last day of the old ones and the first of the new ones."""
    ended, began = ({names[kind] for kind in kinds} for kinds in (found.ended, found.began))
    at = first + found.week
    last_days = [one.last for one in weeks if one.name in ended and one.week <= at]
    first_days = [one.first for one in weeks if one.name in began and one.week >= at - 1]
    return {
        "ended": sorted(ended),
        "began": sorted(began),
        "ended_on": max(last_days).isoformat(),
        "began_on": min(first_days).isoformat(),
    }
