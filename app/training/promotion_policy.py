"""The promotion policy: which new versions may replace the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from models.evaluation.significance import Difference

MAX_DEFICIT = 0.05
"""Nats per incident; a larger deficit is rejected even if it is not significant."""


@dataclass(frozen=True)
class PromotionDecision:
    """Whether to promote, and the reason, which is stored in the registry."""

    promote: bool
    reason: str


def decide(against: Mapping[str, Difference]) -> PromotionDecision:
    """Promote unless the candidate is significantly worse than any of its rivals.

    Args:
        against: rival's name -> candidate minus rival on held-out incidents, nats per incident.
            Without held-out incidents, the candidate is not promoted.
    """
    if not against or all(d.n == 0 for d in against.values()):
        return PromotionDecision(False, "no held-out incidents to compare on")
    for rival, found in against.items():
        if not all(map(math.isfinite, (found.mean, found.lo, found.hi))):
            return PromotionDecision(False, f"its differences from {rival} are not finite")
        measured = f"by {-found.mean:.4f} nats [{-found.hi:.4f}, {-found.lo:.4f}]"
        if found.hi < 0:
            return PromotionDecision(False, f"worse than {rival} {measured} on the last 28 days")
        if found.mean < -MAX_DEFICIT:
            return PromotionDecision(
                False, f"probably worse than {rival} {measured}, on only {found.n} incidents"
            )
    words = ", ".join(f"{d.mean:+.4f} nats against {rival}" for rival, d in against.items())
    return PromotionDecision(True, f"not worse on the last 28 days: {words}")
