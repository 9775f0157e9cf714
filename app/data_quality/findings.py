"""What stands out in a data report, as messages: each names a figure and what it may mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.messages import Message, MessageTable
from app.geo.study_area import MAX_EXTENT_DEG

MANY_REPEATED = 0.8
SNAPPED_M = 40.0
MAX_DEFAULT_GEOCODES = 3
CLOCK_NAMES = {"00:00": "midnight", "00:01": "12:01 a.m.", "12:00": "noon", "12:01": "12:01 p.m."}
FINDINGS = MessageTable(
    {
        "rows_rejected": "{n:,} of {received:,} rows were rejected: {by_code}.",
        "looks_swapped": "Longitude and latitude look swapped in {n:,} rows: exchange the columns "
        "and send the file again.",
        "outside_study_area": "{n:,} rows lie over 1 km outside the study area.",
        "far_away": "{n:,} rows lie over {degrees:g} degrees from the others.",
        "repeated_rows": "{n:,} rows repeat another row of their file word for word: several charges "
        "of one incident, or the incident twice.",
        "implausible_years": "Rows with implausible years were rejected: {by_year}.",
        "full_hours": "Times are full hours only.",
        "time_heaping": "{n:,} incidents ({share:.1%}) are timed {at}: probably unknown times.",
        "time_heaping_ratio": "{n:,} incidents ({share:.1%}) are timed {at}, {times_expected:.0f} "
        "times what the hours around it have: probably unknown times.",
        "late_reports": "Half of the incidents arrive within {median_hours:,.0f} hours, 90 % within "
        "{p90_hours:,.0f}, 99 % within {p99_hours:,.0f}.",
        "default_geocode": "{n:,} incidents ({share:.1%}) lie on one point, {longitude:.5f}, "
        "{latitude:.5f}: a default geocode, left out of trainings.",
        "more_default_geocodes": "{n:,} more default geocodes are left out of trainings.",
        "rounded_coordinates": "Coordinates are rounded to {decimals} decimals, steps of about "
        "{step_m:,.0f} m.",
        "shared_points": "{share:.1%} of incidents share their point with another; a point's nearest "
        "neighbour is typically {nearest_m:,.0f} m away.",
        "snapped_points": "{share:.1%} of incidents share their point with another; a point's "
        "nearest neighbour is typically {nearest_m:,.0f} m away: snapped to corners or blocks.",
        "dated_early": "{n:,} incidents are dated before {before}, where the main series begins "
        "({first_year} to {last_year}): late reports or wrong dates.",
        "volume_break": "Volume breaks in {month}: {before_per_day:,.1f} a day before, "
        "{after_per_day:,.1f} after.",
        "bulk_loads_only": "no upload spans under {days} days: bulk loads say nothing about delays",
        "bulk_loads_excluded": "of {n} incidents; {n_bulk} came by bulk loads, which say nothing "
        "about delays",
    }
)
Report = Mapping[str, Any]


def findings(report: Report) -> list[Message]:
    """Return what stands out, the gravest first; empty for data without fault."""
    return [
        *_rows(report["uploads"]),
        *_times(report),
        *_places(report["places"]),
        *_volume(report),
    ]


def _rows(uploads: Report) -> Iterator[Message]:
    if uploads["rejected"]:
        yield FINDINGS.make(
            "rows_rejected",
            n=uploads["rejected"],
            received=uploads["received"],
            by_code=uploads["rejected_by_code"],
        )
    if swapped := uploads["swapped_coordinates"]:
        yield FINDINGS.make("looks_swapped", n=swapped)
    if outside := uploads["outside_study_area"]:
        yield FINDINGS.make("outside_study_area", n=outside)
    if far := uploads["far_away"]:
        yield FINDINGS.make("far_away", n=far, degrees=MAX_EXTENT_DEG)
    if repeated := uploads["repeated_rows"]:
        yield FINDINGS.make("repeated_rows", n=repeated)
    if years := uploads["implausible_years"]:
        yield FINDINGS.make("implausible_years", by_year=years)


def _times(report: Report) -> Iterator[Message]:
    times = report["times"]
    if times["resolution"] == "hour":
        yield FINDINGS.make("full_hours")
    for found in times["told"]:
        if not found["spike"]:
            continue
        name = CLOCK_NAMES.get(found["at"])
        at = f"{found['at']} ({name})" if name else found["at"]
        heap: dict[str, Any] = {"n": found["n"], "share": found["share"], "at": at}
        if ratio := found["times_expected"]:
            yield FINDINGS.make("time_heaping_ratio", **heap, times_expected=ratio)
        else:
            yield FINDINGS.make("time_heaping", **heap)
    late = report["late_reports"]
    if late["median_hours"] is not None:
        hours = {name: late[name] for name in ("median_hours", "p90_hours", "p99_hours")}
        yield FINDINGS.make("late_reports", **hours)


def _places(places: Report) -> Iterator[Message]:
    points = places["piles"]
    for point in points[:MAX_DEFAULT_GEOCODES]:
        yield FINDINGS.make("default_geocode", **point)
    if len(points) > MAX_DEFAULT_GEOCODES:
        yield FINDINGS.make("more_default_geocodes", n=len(points) - MAX_DEFAULT_GEOCODES)
    if places["decimals"] is not None and places["step_m"] is not None:
        yield FINDINGS.make(
            "rounded_coordinates", decimals=places["decimals"], step_m=places["step_m"]
        )
    nearest_m = places["nearest_m"]
    if places["share_on_repeated"] > MANY_REPEATED and nearest_m is not None:
        code = "snapped_points" if nearest_m >= SNAPPED_M else "shared_points"
        yield FINDINGS.make(code, share=places["share_on_repeated"], nearest_m=nearest_m)


def _volume(report: Report) -> Iterator[Message]:
    early = report["dated_early"]
    if early["n"]:
        years = list(early["years"])
        yield FINDINGS.make(
            "dated_early",
            n=early["n"],
            before=early["before"],
            first_year=years[0],
            last_year=years[-1],
        )
    for found in report["breaks"]:
        yield FINDINGS.make("volume_break", **found)
