"""What a forecast is worth over the rivals that everybody can make, and what of it is the hour.

Six gains of one fitted model, paired by incident:

- `nats`, `cap_auc`: over `pooled-kde`, in log density and in the area under the CAP curve;
- `places_hits`: one list of the best 5 % of cells for all hours, over last year's (`prior-counts`);
- `asked_hits`: a list for the hour of each incident, over the same list of last year;
- `hour_hits`, `hour_nats`: the model by hour, over the same model with its hours averaged.

So `asked_hits` is `places_hits` plus `hour_hits`. Hits are shares of all incidents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import DensityModel
from models.densities.prior_counts import PriorCounts
from models.densities.state import mean_over_hours
from models.evaluation.hotspot_area import FLAGGED_PERCENT
from models.evaluation.metrics import HIT_PERCENTS, ScoredIncidents, n_top, places_of, ranked_rows
from models.evaluation.significance import paired_difference
from models.units import N_WINDOWS, WEEK_S, FloatArray, IntArray

GAINS = ("nats", "cap_auc", "places_hits", "asked_hits", "hour_nats", "hour_hits")
OVER_ALL_YEARS = "all_years_hits"
"""As `places_hits`, over a list of all years: measured by `make bench PART=worth` alone."""
TYPICAL_GAINS = (*GAINS, OVER_ALL_YEARS)
DENSITY_RIVAL = "pooled-kde"
LIST_RIVAL = PriorCounts.name
_COLUMN = HIT_PERCENTS.index(FLAGGED_PERCENT)


@dataclass(frozen=True)
class AllHoursScores:
    """Scores (n,) of a model with its hours averaged: log density per km2, and 1 in the list, 0 outside."""

    log_density: FloatArray
    hits: FloatArray


def score_all_hours(
    model: DensityModel, rows: IntArray, past_window: NDArray[Any]
) -> AllHoursScores:
    """Score the mean over the hours of the week of a fitted model on incidents in cells `rows` (n,).

    Args:
        past_window: hours of the week of the past incidents, by which the hours weigh.
    """
    rates = 1.0 + np.bincount(past_window, minlength=N_WINDOWS)
    mean = mean_over_hours(model.probability_, rates.astype(np.float64))
    place = places_of(ranked_rows(mean))[rows]
    listed = place < n_top(len(mean), FLAGGED_PERCENT)
    return AllHoursScores(np.log(mean[rows] / model.area_km2_[rows]), listed.astype(np.float64))


def gains_by_incident(
    own: ScoredIncidents,
    all_hours: AllHoursScores,
    density_rival: ScoredIncidents | None,
    list_rival: ScoredIncidents | None,
) -> dict[str, FloatArray]:
    """Return {gain: (n,)} of a model, without those whose rival is None."""
    hits = own.hit_shares[:, _COLUMN]
    found = {
        "hour_nats": own.log_density - all_hours.log_density,
        "hour_hits": hits - all_hours.hits,
    }
    if density_rival is not None:
        found["nats"] = own.log_density - density_rival.log_density
        found["cap_auc"] = density_rival.mid_rank - own.mid_rank
    if list_rival is not None:
        listed = list_rival.hit_shares[:, _COLUMN]
        found["places_hits"] = all_hours.hits - listed
        found["asked_hits"] = hits - listed
    return found


def worth_json(
    own: ScoredIncidents,
    all_hours: AllHoursScores,
    scored: Mapping[str, ScoredIncidents],
    time_s: IntArray,
    seed: int = 0,
    block_s: int = WEEK_S,
) -> dict[str, Any]:
    """Return a model's gains, each with `mean`, `lo` and `hi`, and the share that last year's list caught.

    Args:
        scored: all models of the comparison, by name; the rivals are looked up in it.
        time_s: (n,) times of the incidents, resampled in blocks of `block_s`.
    """
    rival = scored.get(LIST_RIVAL)
    gains = gains_by_incident(own, all_hours, scored.get(DENSITY_RIVAL), rival)
    found: dict[str, Any] = {}
    for name in GAINS:
        if name in gains:
            gap = paired_difference(gains[name], np.zeros(len(time_s)), time_s, seed, block_s)
            found[name] = {"mean": gap.mean, "lo": gap.lo, "hi": gap.hi}
    listed = None if rival is None else float(rival.hit_shares[:, _COLUMN].mean())
    return {"n": len(time_s), "list_share": listed, "gains": found}
