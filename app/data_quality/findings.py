"""What a data report says in sentences: each names a figure and what it may mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.html_page import percent

MANY_REPEATED = 0.8
SNAPPED_M = 40.0
CLOCK_NAMES = {"00:00": "midnight", "00:01": "12:01 a.m.", "12:00": "noon", "12:01": "12:01 p.m."}
Report = Mapping[str, Any]


def findings(report: Report) -> list[str]:
    """Return sentences, the gravest first; empty for data without fault."""
    return [
        *_rows(report["uploads"]),
        *_times(report),
        *_places(report["places"]),
        *_volume(report),
    ]


def _rows(uploads: Report) -> Iterator[str]:
    if uploads["rejected"]:
        codes = ", ".join(f"{code} {n:,}" for code, n in uploads["rejected_by_code"].items())
        yield f"{uploads['rejected']:,} of {uploads['received']:,} rows were rejected: {codes}."
    if uploads["swapped_coordinates"]:
        yield (
            f"Longitude and latitude look swapped in {uploads['swapped_coordinates']:,} rows: "
            "exchange the columns and send them again."
        )
    if uploads["outside_study_area"]:
        yield f"{uploads['outside_study_area']:,} rows lie over 1 km outside the study area."
    if uploads["far_away"]:
        yield f"{uploads['far_away']:,} rows lie over ten degrees from the others."
    if uploads["repeated_rows"]:
        yield (
            f"{uploads['repeated_rows']:,} rows repeat another row of their file word for word: "
            "several charges of one incident, or the incident twice."
        )
    if uploads["implausible_years"]:
        years = ", ".join(f"{year} ({n:,})" for year, n in uploads["implausible_years"].items())
        yield f"Rows are dated implausibly and were rejected: {years}."


def _times(report: Report) -> Iterator[str]:
    times = report["times"]
    if times["resolution"] == "hour":
        yield "Times are full hours only."
    for told in times["told"]:
        if not told["spike"]:
            continue
        name = CLOCK_NAMES.get(told["at"])
        shown = f"{told['at']} ({name})" if name else told["at"]
        often = f", {told['times_expected']:.0f} times what the hours around it have"
        yield (
            f"{told['n']:,} incidents ({percent(told['share'])}) are timed {shown}"
            f"{often if told['times_expected'] else ''}: probably unknown times."
        )
    late = report["late_reports"]
    if late["median_hours"] is not None:
        yield (
            f"Half of the incidents arrive within {late['median_hours']:,.0f} hours, 90 % within "
            f"{late['p90_hours']:,.0f}, 99 % within {late['p99_hours']:,.0f}."
        )


def _places(places: Report) -> Iterator[str]:
    for pile in places["piles"]:
        yield (
            f"{pile['n']:,} incidents ({percent(pile['share'])}) lie on one point, "
            f"{pile['longitude']:.5f}, {pile['latitude']:.5f}: a default geocode, left out of fits."
        )
    if places["decimals"] is not None and places["step_m"] is not None:
        yield (
            f"Coordinates are rounded to {places['decimals']} decimals, "
            f"steps of about {places['step_m']:,.0f} m."
        )
    if places["share_on_repeated"] > MANY_REPEATED and places["nearest_m"] is not None:
        snapped = places["nearest_m"] >= SNAPPED_M
        yield (
            f"{percent(places['share_on_repeated'])} of incidents share their point with another; "
            f"a point's nearest neighbour is typically {places['nearest_m']:,.0f} m away"
            f"{': snapped to corners or blocks' if snapped else ''}."
        )


def _volume(report: Report) -> Iterator[str]:
    early = report["dated_early"]
    if early["n"]:
        years = list(early["years"])
        yield (
            f"{early['n']:,} incidents are dated before {early['before']}, where the series proper "
            f"begins ({years[0]} to {years[-1]}): late reports or wrong dates."
        )
    for found in report["breaks"]:
        yield (
            f"Volume breaks in {found['month']}: {found['before_per_day']:,.1f} a day before, "
            f"{found['after_per_day']:,.1f} after."
        )
