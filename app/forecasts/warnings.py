"""Warnings that come with a forecast."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.core.messages import Message, MessageTable
from app.geo.time_heaping import clock_label
from app.regions.store import Region
from app.registry.store import VersionRecord
from app.releases.disclosure import shown_renamings
from app.releases.small_counts import fold_names
from models.times.placeholders import HOURS, LAST_MINUTE
from models.units import DAY_S

STALE_AFTER_DAYS = 60
THIN_INCIDENTS = 5_000
MAX_NAMED = 8
GAP_RECALLED_DAYS = 365
"""Gaps longer ago than this hardly bear on a forecast."""
UNKNOWN_TIMES_SHARE = 0.02
SPREAD_TIMES = frozenset(
    clock_label(60 * hour + minute) for hour in HOURS for minute in range(LAST_MINUTE + 1)
)
"""Of these, the excess counts over whole days."""
OUTSIDE_SHARE = 0.05
WARNINGS = MessageTable(
    {
        "stale": "stale: the forecast is for {days} days after the end of its data; train again",
        "in_sample": "in-sample: the model was trained on the incidents of this time; use as_of to "
        "get a version that was not",
        "in_sample_incidents": "in-sample: {n} of {n_scored} incidents lie before the model's data "
        "end; use as_of to get a version that was not trained on them",
        "thin_data": "thin data: trained on {n} incidents",
        "default_geocodes_excluded": "{n} incidents at {n_points} default geocodes were left out; if one "
        "is a real place, name it in the policy's keep_places and train again",
        "default_geocodes_named": "left out as default geocodes (longitude, latitude, incidents): {places}",
        "small_counts_hidden": "{n_cells} cells with fewer than {minimum_count} incidents share one "
        "density: their differences are hidden",
        "small_counts_not_hidden": "trained before counts below {minimum_count} had to be hidden: "
        "this version does not hide them; train again",
        "incidents_outside": "{n} incidents outside the study area were left out",
        "unknown_times": "{n} incidents are timed {at}, probably because their times are unknown: "
        "forecasts place them in these hours",
        "unknown_times_spread": "{n} incidents timed {at} are more than the hours around suggest: their time "
        "of day is unknown, and they count over their whole day",
        "few_places": "{n} incidents lie on only {distinct} points, typically {nearest_m:,.0f} m apart, one "
        "per precinct or block: cells smaller than that say nothing",
        "kinds_renamed": "{ended} ended about {about} as {began} began: probably renamed, so expected counts "
        "of these kinds are wrong; give them one name and train again",
        "one_time_of_day": "{n} incidents ({share:.0%}) have one time of day, {at}: their hours are unknown, "
        "so this forecast knows days and places, not hours; send times, or read it over whole days",
        "boundary_derived": "the study area was derived from the incidents; no boundary was given",
        "partial_delivery": "incidents since {since} appear to have arrived only in part: expected "
        "counts follow what came before",
        "delivery_gap": "almost no incidents from {first} to {last}; treated as missing data",
        "patrol_categories_excluded": "not learnt from, since they mostly reflect patrol activity: "
        "{categories}",
        "categories_excluded_by_policy": "not learnt from, as the region's policy says: {categories}",
        "patrol_categories_learnt": "learnt from although they mostly reflect patrol activity: "
        "{categories}",
        "discovered_incidents_learnt": "incidents that patrols discovered were learnt from: feedback "
        "is possible",
        "former_kinds": "trained before the aliases of categories changed: forecasts by category sum up the "
        "former ones; train again",
        "former_maf": "trained before 0.2 under the name maf: it is no flow, but what is called cox since; "
        "train again",
        "new_incidents": "{n} incidents up to {until} have arrived since the model's data end",
        "state_damaged": "a state of {version} failed its integrity check: the version serves as trained",
        "champion_damaged": "the champion {champion} failed its integrity check: {version}, the "
        "champion before it, serves in its place; train again",
    }
)


def warnings_of(
    record: VersionRecord,
    region: Region,
    shown: Collection[str],
    until: datetime,
    data_until: datetime,
) -> list[Message]:
    """Return the warnings about a forecast of slots that end at `until`; see `standing_warnings`.

    Args:
        data_until: end of the data that version and state know.
    """
    return [*_of_time(until, data_until), *standing_warnings(record, region, shown)]


def standing_warnings(
    record: VersionRecord, region: Region, shown: Collection[str]
) -> list[Message]:
    """Return the warnings about a version that hold for any time.

    Args:
        shown: categories that everyone may see; others are not named.
    """
    data = record.report.get("data", {})
    lists = ("excluded_categories", "excluded_by_policy", "patrol_categories")
    data = {k: fold_names(v, shown) if k in lists else v for k, v in data.items()}
    data["renamed_kinds"] = shown_renamings(data.get("renamed_kinds", []), shown)
    return [
        *_of_data(record, region, data),
        *_of_delivery(record, region),
        *_of_patrols(data),
    ]


def _of_time(until: datetime, data_until: datetime) -> Iterator[Message]:
    days = (until - data_until).days
    if days > STALE_AFTER_DAYS:
        yield WARNINGS.make("stale", days=days)
    if until <= data_until:
        yield WARNINGS.make("in_sample")


def _of_data(record: VersionRecord, region: Region, data: dict[str, Any]) -> Iterator[Message]:
    if record.model == "maf" and "flow" in record.report:
        yield WARNINGS.make("former_maf")
    if record.n_incidents < THIN_INCIDENTS:
        yield WARNINGS.make("thin_data", n=record.n_incidents)
    yield from _of_times(record, data)
    if few := data.get("few_places"):
        yield WARNINGS.make("few_places", **few)
    for one in data["renamed_kinds"]:
        ended, began = (", ".join(one[name]) for name in ("ended", "began"))
        yield WARNINGS.make("kinds_renamed", ended=ended, began=began, about=one["about"])
    if region.boundary_derived:
        yield WARNINGS.make("boundary_derived")
    if points := data.get("default_geocodes", []):
        n = sum(point["n_incidents"] for point in points)
        yield WARNINGS.make("default_geocodes_excluded", n=n, n_points=len(points))
    if small := record.report.get("small_counts"):
        yield WARNINGS.make(
            "small_counts_hidden", n_cells=small["n_cells"], minimum_count=small["minimum_count"]
        )
    outside = data.get("outside_study_area", 0)
    if outside > OUTSIDE_SHARE * (outside + record.n_incidents):
        yield WARNINGS.make("incidents_outside", n=outside)


def _of_times(record: VersionRecord, data: dict[str, Any]) -> Iterator[Message]:
    """Yield times of day that stand for unknown ones, by the tests of the data report."""
    if one := data.get("one_time_of_day"):
        yield WARNINGS.make(
            "one_time_of_day", n=one["n_incidents"], share=one["share"], at=one["at"]
        )
        return
    spread = data.get("placeholders")
    if spread and spread["n"] > UNKNOWN_TIMES_SHARE * record.n_incidents:
        yield WARNINGS.make("unknown_times_spread", n=spread["n"], at=spread["at"])
    # Other times of day, and those of older versions, are forecast where they are written.
    heaps = data.get("unknown_times", [])
    left = [time for time in heaps if spread is None or time["at"] not in SPREAD_TIMES]
    n_left = sum(time["n_incidents"] for time in left)
    if n_left > UNKNOWN_TIMES_SHARE * record.n_incidents:
        yield WARNINGS.make("unknown_times", n=n_left, at=[time["at"] for time in left])


def places_left_out(record: VersionRecord) -> Iterator[Message]:
    """Name a version's default geocodes; only for callers who may list incidents."""
    points = record.report.get("data", {}).get("default_geocodes", [])
    # Versions of earlier releases have no degrees.
    named = [
        f"{p['longitude']:.5f}, {p['latitude']:.5f} ({p['n_incidents']:,})"
        for p in points
        if "longitude" in p
    ]
    if named:
        yield WARNINGS.make("default_geocodes_named", places="; ".join(_named(named)))


def _of_delivery(record: VersionRecord, region: Region) -> Iterator[Message]:
    """Yield gaps and late days of the feed; expected counts are made without these days."""
    zone = ZoneInfo(region.timezone)
    cutoff_s = record.cutoff.timestamp()
    for start_s, end_s in record.counts.get("undelivered_s", []):
        first, last = (
            f"{datetime.fromtimestamp(t, UTC).astimezone(zone):%Y-%m-%d}"
            for t in (start_s, end_s - 1)
        )
        if end_s >= cutoff_s:
            yield WARNINGS.make("partial_delivery", since=first)
        elif end_s >= cutoff_s - GAP_RECALLED_DAYS * DAY_S:
            yield WARNINGS.make("delivery_gap", first=first, last=last)


def _of_patrols(data: dict[str, Any]) -> Iterator[Message]:
    by_policy = data.get("excluded_by_policy", [])
    if excluded := [name for name in data.get("excluded_categories", []) if name not in by_policy]:
        yield WARNINGS.make("patrol_categories_excluded", categories=_named(excluded))
    if by_policy:
        yield WARNINGS.make("categories_excluded_by_policy", categories=_named(by_policy))
    if learnt := data.get("patrol_categories", []):
        yield WARNINGS.make("patrol_categories_learnt", categories=_named(learnt))
    if data.get("discovered_weight", 0) > 0:
        yield WARNINGS.make("discovered_incidents_learnt")


def _named(categories: list[str]) -> list[str]:
    """Shorten a list; `+4` at its end stands for four more."""
    n_more = len(categories) - MAX_NAMED
    return [*categories[:MAX_NAMED], *([f"+{n_more}"] if n_more > 0 else [])]
