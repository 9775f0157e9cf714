"""The places of a data report: precision, and places that hold implausibly many incidents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from app.data_quality import place_store
from app.data_quality.checks.coordinate_precision import (
    METRES_PER_DEGREE,
    nearest_distance_m,
    rounded_to,
)
from app.data_quality.checks.default_geocodes import Mix, implausibly_full, judge_places
from app.data_quality.place_store import CountedPlace, PlaceCounts
from app.data_quality.store import Scope
from app.regions.learning_policy import LearningPolicy
from app.regions.store import Region

_MAX_LISTED = 20


def places_report(
    connection: Connection, region: Region, scope: Scope, whole: Mix, kinds: Sequence[str]
) -> dict[str, Any]:
    """Return how precise places are, and which hold implausibly many incidents.

    Args:
        whole: all incidents by minute of the day and by kind.
        kinds: names of the kinds.
    """
    policy = LearningPolicy.of(region.settings)
    keep, drop = policy.places_m(region.crs) if region.crs else ([], [])
    found = place_store.place_counts(connection, scope, [*keep, *drop])
    n_incidents = found.n_incidents
    chosen = _chosen(found)
    mixes = place_store.mixes(connection, scope, [one.point for one in chosen], kinds)
    judged = judge_places([one.point for one in chosen], mixes, whole, keep, drop)
    full = [
        {
            **_listed(place),
            "share": place.n / n_incidents,
            "default": verdict.is_default,
            "reason": verdict.reason,
        }
        for place, verdict in zip(chosen, judged, strict=True)
    ]
    sample = found.sample
    decimals = rounded_to(sample[:, 2], sample[:, 3])
    return {
        "distinct": found.n_places,
        "share_on_repeated": found.on_repeated / max(n_incidents, 1),
        "nearest_m": nearest_distance_m(sample[:, 0], sample[:, 1]),
        "decimals": decimals,
        "step_m": None if decimals is None else METRES_PER_DEGREE * 10.0**-decimals,
        "crs": region.crs,
        "cell_size_m": region.cell_size_m,
        "piles": [place for place in full if place["default"]],
        "full": full,
        "fullest": [_listed(place) for place in found.fullest[:_MAX_LISTED] if place.n > 1],
    }


def _chosen(found: PlaceCounts) -> list[CountedPlace]:
    """Return the implausibly full places, and those that the policy names, the fullest first."""
    counts = np.array([place.n for place in found.fullest], np.int64)
    full = implausibly_full(counts, found.histogram)
    chosen = [place for place, is_full in zip(found.fullest, full, strict=True) if is_full]
    chosen += [place for place in found.named if place not in chosen]
    return sorted(chosen, key=lambda place: -place.n)


def _listed(place: CountedPlace) -> dict[str, Any]:
    return {"longitude": place.longitude, "latitude": place.latitude, "n": place.n}
