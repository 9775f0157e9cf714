"""What to keep in mind when reading a forecast, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.regions.store import Region
from app.registry.store import VersionRecord
from app.releases.disclosure import fold_names
from models.base import DAY_S

STALE_AFTER_DAYS = 60
THIN_INCIDENTS = 5_000
MAX_NAMED = 8
GAP_RECALLED_DAYS = 365
"""Gaps longer ago than this hardly bear on a forecast."""
UNKNOWN_TIMES_SHARE = 0.02
OUTSIDE_SHARE = 0.05


def warnings_of(
    record: VersionRecord, region: Region, shown: Collection[str], until: datetime
) -> list[str]:
    """Sentences about a version's forecast of slots that end at `until`; see `standing_warnings`."""
    return [*_of_time(record, until), *standing_warnings(record, region, shown)]


def standing_warnings(record: VersionRecord, region: Region, shown: Collection[str]) -> list[str]:
    """Sentences about anything that a version says, of whatever time.

    Args:
        shown: categories that everyone may see; others are not named.
    """
    data = record.report.get("data", {})
    lists = ("excluded_categories", "patrol_categories")
    data = {k: fold_names(v, shown) if k in lists else v for k, v in data.items()}
    return [
        *_of_data(record, region, data),
        *_of_delivery(record, region),
        *_of_patrols(record, data),
    ]


def _of_time(record: VersionRecord, until: datetime) -> list[str]:
    days = (until - record.cutoff).days
    found = []
    if days > STALE_AFTER_DAYS:
        found.append(f"stale: the forecast is for {days} days after the model's data end")
    if until <= record.cutoff:
        found.append(
            "in-sample: the model has seen the incidents of this time; as_of takes one that had not"
        )
    return found


def _of_data(record: VersionRecord, region: Region, data: dict[str, Any]) -> list[str]:
    found = []
    if record.n_incidents < THIN_INCIDENTS:
        found.append(f"thin data: trained on {record.n_incidents} incidents")
    piles = data.get("default_geocodes", [])
    if piles:
        left_out = sum(pile["n_incidents"] for pile in piles)
        found.append(f"{left_out} incidents at {len(piles)} default geocodes were left out")
    if small := record.report.get("small_counts"):
        found.append(
            f"{small['n_cells']} cells with fewer than {small['minimum_count']} incidents share one "
            "density: their differences are hidden"
        )
    outside = data.get("outside_study_area", 0)
    if outside > OUTSIDE_SHARE * (outside + record.n_incidents):
        found.append(f"{outside} incidents outside the study area were left out")
    unknown = data.get("unknown_times", [])
    n_unknown = sum(told["n_incidents"] for told in unknown)
    if n_unknown > UNKNOWN_TIMES_SHARE * record.n_incidents:
        found.append(
            f"{n_unknown} incidents are timed {', '.join(told['at'] for told in unknown)}, probably "
            "since their times are unknown: forecasts put them into these hours"
        )
    if region.boundary_derived:
        found.append("the study area was derived from the incidents; no boundary was given")
    return found


def _of_delivery(record: VersionRecord, region: Region) -> Iterator[str]:
    """What a feed seems to have kept back; the expected counts are made without these days."""
    zone = ZoneInfo(region.timezone)
    cutoff_s = record.cutoff.timestamp()
    for start_s, end_s in record.counts.get("undelivered_s", []):
        first, last = (
            datetime.fromtimestamp(t, UTC).astimezone(zone) for t in (start_s, end_s - 1)
        )
        if end_s >= cutoff_s:
            yield (
                f"incidents from {first:%Y-%m-%d} on seem to have arrived in part only: expected counts "
                "follow what came before"
            )
        elif end_s >= cutoff_s - GAP_RECALLED_DAYS * DAY_S:
            yield (
                f"hardly any incidents from {first:%Y-%m-%d} to {last:%Y-%m-%d}: taken for days that "
                "the feed did not deliver"
            )


def _of_patrols(record: VersionRecord, data: dict[str, Any]) -> list[str]:
    found = []
    if excluded := data.get("excluded_categories", []):
        found.append(
            f"not learnt from, since they mostly reflect patrol activity: {_named(excluded)}"
        )
    if learnt := data.get("patrol_categories", []):
        found.append(f"learnt from although they mostly reflect patrol activity: {_named(learnt)}")
    if data.get("discovered_weight", 0) > 0:
        found.append("incidents that patrols discovered were learnt from: feedback is possible")
    return found


def _named(categories: list[str]) -> str:
    more = f" and {len(categories) - MAX_NAMED} more" if len(categories) > MAX_NAMED else ""
    return ", ".join(categories[:MAX_NAMED]) + more
