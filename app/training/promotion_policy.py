"""The promotion policy: which new versions may replace the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core.messages import Message, MessageTable
from models.evaluation.significance import Difference

MAX_DEFICIT = 0.05
"""Nats per incident; a larger deficit is rejected even if it is not significant."""


CHAMPION = "the champion"
"""The name of the rival that serves."""
REPLACES_ERASED = "promoted_for_erased"
_MEASURED = "{rival} by {deficit:.4f} nats [{low:.4f}, {high:.4f}]"
_PROBABLY_WORSE = f"probably worse than {_MEASURED}, on only {{n}} incidents"
PROMOTION_REASONS = MessageTable(
    {
        "promoted_first": "first version of this region",
        "promoted_again": "this version is already the champion",
        "promoted_for_damaged": "the champion's record differs from what was registered",
        "promoted_for_erased": "the champion was trained on incidents that have been erased",
        "promoted_for_cell_size": "the region's cell size has changed",
        "promoted_reference": "it is the reference model {model}",
        "promoted_not_worse": "not worse on the last 28 days: {measured}",
        "challenger_for_damaged": "the champion's record differs from what was registered",
        "challenger_some_categories": "trained on some categories only",
        "challenger_older_data": "its data ends before the champion's ({until})",
        "challenger_not_validated": "not validated",
        "challenger_nothing_to_compare": "no held-out incidents to compare on",
        "challenger_not_finite": "its differences from {rival} are not finite",
        "challenger_worse": f"worse than {_MEASURED} on the last 28 days",
        "challenger_worse_than_champion": f"worse than {_MEASURED} on the last 28 days",
        "challenger_probably_worse": _PROBABLY_WORSE,
        "challenger_probably_worse_than_champion": _PROBABLY_WORSE,
    }
)
"""The code also says whether the version was promoted, or remains a challenger."""


@dataclass(frozen=True)
class PromotionDecision:
    """Whether to promote, and the reason, whose text is stored in the registry."""

    promote: bool
    reason: Message


def decide(against: Mapping[str, Difference]) -> PromotionDecision:
    """Promote unless the candidate is significantly worse than any of its rivals.

    Args:
        against: rival's name -> candidate minus rival on held-out incidents, nats per incident.
            Without held-out incidents, the candidate is not promoted.
    """
    if not against or all(d.n == 0 for d in against.values()):
        return PromotionDecision(False, PROMOTION_REASONS.make("challenger_nothing_to_compare"))
    for rival, found in against.items():
        if not all(map(math.isfinite, (found.mean, found.lo, found.hi))):
            return PromotionDecision(
                False, PROMOTION_REASONS.make("challenger_not_finite", rival=rival)
            )
        if found.hi < 0:
            return PromotionDecision(False, _worse("challenger_worse", rival, found))
        if found.mean < -MAX_DEFICIT:
            return PromotionDecision(False, _worse("challenger_probably_worse", rival, found))
    measured = [f"{d.mean:+.4f} nats against {rival}" for rival, d in against.items()]
    reason = PROMOTION_REASONS.make("promoted_not_worse", measured=measured)
    differences = {rival: float(d.mean) for rival, d in against.items()}
    return PromotionDecision(True, replace(reason, params={"differences": differences}))


def _worse(code: str, rival: str, found: Difference) -> Message:
    measured = {"deficit": -found.mean, "low": -found.hi, "high": -found.lo}
    return PROMOTION_REASONS.make(
        f"{code}_than_champion" if rival == CHAMPION else code,
        rival=rival,
        n=int(found.n),
        **{name: float(value) for name, value in measured.items()},
    )
