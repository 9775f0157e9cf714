"""The gate: which new versions may replace the champion."""

from __future__ import annotations

from dataclasses import dataclass

from models.evaluation.significance import Difference


@dataclass(frozen=True)
class GateDecision:
    """Whether to promote, and why (not), in words that stand in the registry."""

    promote: bool
    reason: str


def decide(against: dict[str, Difference]) -> GateDecision:
    """Promote unless the candidate is significantly worse than any of its rivals.

    Args:
        against: rival's name -> candidate minus rival on held-out incidents, nats per incident.
            Without any held-out incident nothing is known, and nothing is promoted.
    """
    if not against or all(d.n == 0 for d in against.values()):
        return GateDecision(False, "no held-out incidents to judge by")
    for rival, difference in against.items():
        if difference.hi < 0:
            return GateDecision(
                False,
                f"worse than {rival} by {-difference.mean:.4f} nats "
                f"[{-difference.hi:.4f}, {-difference.lo:.4f}] on the last 28 days",
            )
    words = ", ".join(f"{d.mean:+.4f} nats against {rival}" for rival, d in against.items())
    return GateDecision(True, f"not worse on the last 28 days: {words}")
