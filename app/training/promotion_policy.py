"""The gate: which new versions may replace the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from models.evaluation.significance import Difference

MAX_DEFICIT = 0.05
"""Nats per incident; so much worse is refused even where few incidents prove nothing."""


@dataclass(frozen=True)
class GateDecision:
    """Whether to promote, and why (not), in words that stand in the registry."""

    promote: bool
    reason: str


def decide(against: Mapping[str, Difference]) -> GateDecision:
    """Promote unless the candidate is significantly worse than any of its rivals.

    Args:
        against: rival's name -> candidate minus rival on held-out incidents, nats per incident.
            Without any held-out incident nothing is known, and nothing is promoted.
    """
    if not against or all(d.n == 0 for d in against.values()):
        return GateDecision(False, "no held-out incidents to judge by")
    for rival, found in against.items():
        if not all(map(math.isfinite, (found.mean, found.lo, found.hi))):
            return GateDecision(False, f"its scores beside {rival}'s are not finite")
        measured = f"by {-found.mean:.4f} nats [{-found.hi:.4f}, {-found.lo:.4f}]"
        if found.hi < 0:
            return GateDecision(False, f"worse than {rival} {measured} on the last 28 days")
        if found.mean < -MAX_DEFICIT:
            return GateDecision(
                False, f"seems worse than {rival} {measured}, with only {found.n} incidents to tell"
            )
    words = ", ".join(f"{d.mean:+.4f} nats against {rival}" for rival, d in against.items())
    return GateDecision(True, f"not worse on the last 28 days: {words}")
