"""A version's tables, data report and provenance."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.software import software
from app.data_quality.checks.coordinate_precision import few_places_of
from app.data_quality.checks.kinds import renamings
from app.fitting.data import TrainingData
from app.fitting.device import device_name
from app.geo.hour_of_week import local_offset_s
from app.geo.study_area import to_degrees
from app.geo.time_heaping import MINUTES_OF_DAY, clock_label, clock_times, one_time_of_day
from app.regions.learning_policy import patrol_categories
from app.registry import store as registry
from models.base import DensityModel, FitContext
from models.times.placeholders import HOURS

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "shapely")
MINUTE_S = 60
WEEK_S = 7 * 86_400
CODE_FOLDERS = ("app", "models")


def probability_tables(model: DensityModel) -> dict[int, NDArray[np.float64]]:
    """Return probabilities (W, N) by `ALL_CATEGORIES`, and ratio and fixed part (2, N) by category.

    Categories whose code exceeds the two bytes of the tables (in regions older than the limit on their
    number) use the city's density.
    """
    own = {
        code: np.stack([d.ratio, d.fixed])
        for code, d in model.category_density_.items()
        if code <= registry.MAX_CATEGORY_CODE
    }
    return {registry.ALL_CATEGORIES: model.probability_, **own}


def data_facts(data: TrainingData) -> dict[str, Any]:
    """Return what was excluded from a fit, for the version's report."""
    rules = [data.policy.category_rule(name) for name in data.excluded_categories]
    return {
        "data": {
            "outside_study_area": data.n_outside,
            "default_geocodes": _default_geocodes(data),
            "few_places": _few_places(data),
            **_times(data),
            "inexact_times": _inexact_times(data),
            "placeholders": _placeholders(data),
            "discovered_weight": data.policy.discovered_weight,
            "excluded_categories": data.excluded_categories,
            "excluded_by_policy": [rule.category for rule in rules if rule.by_policy],
            "renamed_kinds": _renamed_kinds(data),
            "patrol_categories": patrol_categories(data.categories),
            "kinds_revision": data.kinds_revision,
        }
    }


def _default_geocodes(data: TrainingData) -> list[dict[str, Any]]:
    x_m, y_m = (np.array([getattr(p, axis) for p in data.piles], float) for axis in ("x_m", "y_m"))
    longitude, latitude = to_degrees(x_m, y_m, data.area.crs)
    return [
        {
            **{name: getattr(place, name) for name in ("x_m", "y_m", "n_incidents", "reason")},
            "longitude": round(float(x), 6),
            "latitude": round(float(y), 6),
        }
        for place, x, y in zip(data.piles, longitude, latitude, strict=True)
    ]


def _few_places(data: TrainingData) -> dict[str, Any] | None:
    incidents = data.incidents
    found = few_places_of(incidents.x_m, incidents.y_m, data.region.cell_size_m)
    return None if found is None else asdict(found)


def _times(data: TrainingData) -> dict[str, Any]:
    """Return times of day with far more incidents than the hours around them explain, or the only one."""
    time_s = data.incidents.time_s
    local_s = time_s + local_offset_s(time_s, data.region.timezone)
    by_minute, by_utc_minute = (
        np.bincount(seconds // MINUTE_S % MINUTES_OF_DAY, minlength=MINUTES_OF_DAY)
        for seconds in (local_s, time_s)
    )
    one = one_time_of_day(by_minute, by_utc_minute)
    return {
        "unknown_times": [
            {"at": time.label, "n_incidents": time.n_incidents}
            for time in clock_times(by_minute)
            if time.spike
        ],
        "one_time_of_day": None if one is None else asdict(one),
    }


def _inexact_times(data: TrainingData) -> list[dict[str, Any]]:
    """Return by category (None: the small ones together) which part of the times is not exact.

    `placeholder_chance` is how likely a record of the first minutes of midnight and of noon has no known time
    of day; `trust` is how far, 0..1, exact times said in which of its hours an interval counts.
    """
    found = data.aoristic
    if found is None:
        return []
    rows = []
    for code, facts in found.report_.items():
        n = sum(facts[name] for name in ("exact", "intervals", "placeholders"))
        rows.append(
            {
                "category": None if code < 0 else data.categories[code],
                "interval_share": round(facts["intervals"] / n, 2),
                "placeholder_share": round(facts["placeholders"] / n, 2),
                "placeholder_chance": np.round(found.placeholder_[code], 2).tolist(),
                "trust": round(facts["trust"], 2),
            }
        )
    return rows


def _placeholders(data: TrainingData) -> dict[str, Any] | None:
    """Return how many records of midnight and noon count as whole days, and which of the two they have."""
    found = data.aoristic
    n = 0 if found is None else sum(int(facts["placeholders"]) for facts in found.report_.values())
    if found is None or n == 0:
        return None
    has = np.any(list(found.placeholder_.values()), axis=0)
    return {"n": n, "at": [clock_label(60 * h) for h, one in zip(HOURS, has, strict=True) if one]}


def _renamed_kinds(data: TrainingData) -> list[dict[str, Any]]:
    """Return kinds that stop as others start, with the day on which the week of the change begins."""
    week = (data.incidents.time_s - data.incidents.time_s[0]) // WEEK_S
    weekly = np.zeros((len(data.categories), int(week[-1]) + 1), np.int64)
    np.add.at(weekly, (data.incidents.category, week), 1)
    begin = datetime.fromtimestamp(int(data.incidents.time_s[0]), UTC)
    return [
        {
            "ended": [data.categories[kind] for kind in found.ended],
            "began": [data.categories[kind] for kind in found.began],
            "about": f"{begin + timedelta(weeks=found.week):%Y-%m-%d}",
        }
        for found in renamings(weekly)
    ]


def provenance(context: FitContext, durations_s: Mapping[str, float]) -> dict[str, Any]:
    """Return where and with what a version was trained; `durations_s` is by step."""
    return {
        "created_at": datetime.now(UTC).isoformat(),
        "seconds": round(sum(durations_s.values()), 1),
        "durations_s": {name: round(s, 2) for name, s in durations_s.items()},
        "device": context.device,
        "device_name": device_name(context.device),
        "n_threads": context.n_threads,
        "machine": platform.machine(),
        "code_sha256": code_sha256(),
        **software(*LIBRARIES),
    }


@cache
def code_sha256() -> str:
    """Hash hotslot's source files, to distinguish builds with the same version number."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
