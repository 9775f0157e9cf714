"""The count model brought forward over the hours since its cutoff, without refitting it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from models.counts.fit import SLOW_HALF_LIFE_WEEKS, Slots, clipped, delivered_hours, spans
from models.counts.model import CountModel
from models.units import HOUR_S, N_WINDOWS, WEEK_S, FloatArray, IntArray

USUAL_DAYS = 84
"""Days before the cutoff that stand for what a feed usually delivers, by the model's own mean."""


def assimilated(model: CountModel, usual: Slots, slots: Slots, count: IntArray) -> CountModel:
    """Filter both levels forward over new hours; profile, season and dispersions stay.

    The levels are exponentially weighted means, whose filter is exact: with an unchanged profile the
    result is what a fit to all hours would give. Days that the feed seems not to have delivered, wholly
    or in part, are left out, and single hours are clipped, as in a fit.

    Args:
        model: as of its cutoff.
        usual: the hours of the `USUAL_DAYS` before the cutoff.
        slots: (n,) consecutive hours, from the cutoff on or later.
        count: (n,) incidents of each.
    """
    if len(slots) == 0 or model.level <= 0:
        return model
    expected = np.rint(model.mean(usual)).astype(np.int64)
    both = Slots(*(np.concatenate([getattr(s, f) for s in (usual, slots)]) for f in _FIELDS))
    delivered = delivered_hours(both, np.concatenate([expected, count]))[len(usual) :]
    end_s = int(slots.time_s[-1]) + HOUR_S
    used, cleaned = slots.take(delivered), clipped(count, model.mean(slots))[delivered]
    shape = model.mean(used) / model.levels(used.time_s)
    age_weeks = (end_s - HOUR_S - used.time_s) / WEEK_S
    lapse_weeks = (end_s - model.cutoff_s) / WEEK_S

    def filtered(level: float, hours: float, half_life_weeks: float) -> tuple[float, float]:
        usual_hours = half_life_weeks * N_WINDOWS / math.log(2)
        known = (hours or usual_hours) * 0.5 ** (lapse_weeks / half_life_weeks)
        weight: FloatArray = 0.5 ** (age_weeks / half_life_weeks)
        total = known + float((weight * shape).sum())
        return (level * known + float((weight * cleaned).sum())) / total, total

    level, hours = filtered(model.level, model.level_hours, model.level_half_life_weeks)
    slow, slow_hours = filtered(model.slow_level, model.slow_level_hours, SLOW_HALF_LIFE_WEEKS)
    return replace(
        model,
        level=level,
        level_hours=hours,
        slow_level=slow,
        slow_level_hours=slow_hours,
        cutoff_s=end_s,
        undelivered_s=(*model.undelivered_s, *spans(slots.time_s[~delivered])),
    )


_FIELDS = ("time_s", "window", "holiday")
