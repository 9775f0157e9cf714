"""What stands out in a data report, as messages: each names a figure and what it may mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.messages import Message, MessageTable
from app.data_quality.verdicts import few_places_in
from app.geo.study_area import MAX_EXTENT_DEG

MANY_REPEATED = 0.8
SOME_INEXACT = 0.005
SNAPPED_M = 40.0
MAX_FULL_PLACES = 10
CLOCK_NAMES = {"00:00": "midnight", "00:01": "12:01 a.m.", "12:00": "noon", "12:01": "12:01 p.m."}
FINDINGS = MessageTable(
    {
        "rows_rejected": "{n:,} of {received:,} rows were rejected: {by_code}.",
        "looks_swapped": "Longitude and latitude look swapped in {n:,} rows: exchange the columns "
        "and send the file again.",
        "outside_study_area": "{n:,} rows lie over 1 km outside the study area.",
        "far_away": "{n:,} rows lie over {degrees:g} degrees from the others.",
        "repeated_rows": "{n:,} rows have the id, or the time, place and category, of an earlier row of "
        "their file: several charges or victims of one incident, or the incident twice.",
        "twins": "{share:.0%} of the incidents have a twin at the same time within 100 m that came by "
        "another upload: probably the same city sent twice, with other names or coordinates. Erase one of "
        "the uploads.",
        "corrected_rows": "{n:,} rows corrected incidents that were stored before.",
        "implausible_years": "Rows with implausible years were rejected: {by_year}.",
        "one_time_of_day": "{n:,} incidents ({share:.0%}) have one time of day, {at}: no hour can be "
        "forecast from them.",
        "date_only": "{n:,} incidents ({share:.0%}) are timed {at}, which is midnight in the region or in "
        "UTC: dates without a time. No hour can be forecast from them.",
        "full_hours": "Times are full hours only.",
        "time_heaping": "{n:,} incidents ({share:.1%}) are timed {at}: probably unknown times.",
        "time_heaping_ratio": "{n:,} incidents ({share:.1%}) are timed {at}, {times_expected:.0f} "
        "times what the hours around it have: probably unknown times.",
        "inexact_times": "{share:.0%} of the incidents have no exact time: {interval:.0%} intervals, "
        "{date_only:.0%} dates alone, {placeholder:.0%} probably unknown times at midnight or noon. "
        "Trainings spread them over their hours; {information:.0%} of the information on the hour of the "
        "week is left.",
        "late_reports": "Half of the incidents arrive within {median_hours:,.0f} hours, 90 % within "
        "{p90_hours:,.0f}, 99 % within {p99_hours:,.0f}.",
        "default_geocode": "{n:,} incidents ({share:.1%}) lie on one point, {longitude:.5f}, "
        "{latitude:.5f}, with the city's own mix of hours and kinds: a default geocode, left out of "
        "trainings. If the place is real, name it in the policy's keep_places.",
        "default_geocode_times": "{n:,} incidents ({share:.1%}) lie on one point, {longitude:.5f}, "
        "{latitude:.5f}, and most have one time of day: a default geocode, left out of trainings. If the "
        "place is real, name it in the policy's keep_places.",
        "busy_place": "{n:,} incidents ({share:.1%}) lie on one point, {longitude:.5f}, {latitude:.5f}, with "
        "hours and kinds of their own: a real place, learnt from. If it is a default geocode, name it in "
        "the policy's drop_places.",
        "unclear_place": "{n:,} incidents ({share:.1%}) lie on one point, {longitude:.5f}, {latitude:.5f}: "
        "too few to say whether it is a default geocode, so they are learnt from. If it is one, name it "
        "in the policy's drop_places.",
        "place_kept": "{n:,} incidents on {longitude:.5f}, {latitude:.5f} are learnt from, as the policy "
        "says.",
        "place_dropped": "{n:,} incidents on {longitude:.5f}, {latitude:.5f} are left out of trainings, as "
        "the policy says.",
        "few_places": "{n:,} incidents lie on only {distinct:,} points, typically {nearest_m:,.0f} m apart: "
        "one point per precinct or block. Cells under that size would say nothing.",
        "more_default_geocodes": "{n:,} more default geocodes are left out of trainings.",
        "rounded_coordinates": "Coordinates are rounded to {decimals} decimals, steps of about "
        "{step_m:,.0f} m.",
        "shared_points": "{share:.1%} of incidents share their point with another; a point's nearest "
        "neighbour is typically {nearest_m:,.0f} m away.",
        "snapped_points": "{share:.1%} of incidents share their point with another; a point's "
        "nearest neighbour is typically {nearest_m:,.0f} m away: snapped to corners or blocks.",
        "dated_early": "{n:,} incidents are dated before {before}, where the main series begins "
        "({first_year} to {last_year}): late reports or wrong dates.",
        "kind_renamed": "{ended} ends on {ended_on} and {began} begins on {began_on}: probably renamed. "
        "Forecasts by kind take them for different ones; give them one name.",
        "kind_spellings": "{names} differ only in spelling, and count as different kinds.",
        "kinds_not_learnt": "Not learnt from: {categories}. These kinds mostly show where officers were, or "
        "the policy excludes them.",
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
        *_rows(report),
        *_times(report),
        *_places(report["places"], report["incidents"]["n"]),
        *_kinds(report["kinds"]),
        *_volume(report),
    ]


def _rows(report: Report) -> Iterator[Message]:
    uploads = report["uploads"]
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
    twins = report["twins"]
    if twins["many"]:
        yield FINDINGS.make("twins", share=twins["n"] / twins["sampled"])
    if repeated := uploads["repeated_rows"]:
        yield FINDINGS.make("repeated_rows", n=repeated)
    if corrected := uploads["corrected"]:
        yield FINDINGS.make("corrected_rows", n=corrected)
    if years := uploads["implausible_years"]:
        yield FINDINGS.make("implausible_years", by_year=years)


def _times(report: Report) -> Iterator[Message]:
    times = report["times"]
    if one := times["one_time"]:
        code = "date_only" if one["date_only"] else "one_time_of_day"
        yield FINDINGS.make(code, n=one["n"], share=one["share"], at=one["at"])
    else:
        yield from _heaps(times)
    known = report["time_precision"]["all"]
    if (share := 1 - known["exact_share"]) >= SOME_INEXACT and report["incidents"]["n"]:
        parts = {name: known[f"{name}_share"] for name in ("interval", "date_only", "placeholder")}
        yield FINDINGS.make(
            "inexact_times", share=share, **parts, information=known["hour_information"]
        )
    late = report["late_reports"]
    if late["median_hours"] is not None:
        hours = {name: late[name] for name in ("median_hours", "p90_hours", "p99_hours")}
        yield FINDINGS.make("late_reports", **hours)


def _heaps(times: Report) -> Iterator[Message]:
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


def _places(places: Report, n: int) -> Iterator[Message]:
    if few := few_places_in(places, n):
        yield FINDINGS.make("few_places", **vars(few))
    for point in places["full"][:MAX_FULL_PLACES]:
        where = {name: point[name] for name in ("longitude", "latitude", "n", "share")}
        yield FINDINGS.make(_full_place(point), **where)
    if n_more := sum(point["default"] for point in places["full"][MAX_FULL_PLACES:]):
        yield FINDINGS.make("more_default_geocodes", n=n_more)
    if places["decimals"] is not None and places["step_m"] is not None:
        yield FINDINGS.make(
            "rounded_coordinates", decimals=places["decimals"], step_m=places["step_m"]
        )
    nearest_m = places["nearest_m"]
    if places["share_on_repeated"] > MANY_REPEATED and nearest_m is not None:
        code = "snapped_points" if nearest_m >= SNAPPED_M else "shared_points"
        yield FINDINGS.make(code, share=places["share_on_repeated"], nearest_m=nearest_m)


def _full_place(point: Report) -> str:
    """Return the code of the finding about a full place."""
    if point["reason"] == "policy":
        return "place_dropped" if point["default"] else "place_kept"
    return {
        "city_mix": "default_geocode",
        "heaped_times": "default_geocode_times",
        "own_mix": "busy_place",
        "unclear": "unclear_place",
    }[point["reason"]]


def _kinds(kinds: Report) -> Iterator[Message]:
    for found in kinds["renamed"]:
        ended, began = (", ".join(found[name]) for name in ("ended", "began"))
        days = {name: found[name] for name in ("ended_on", "began_on")}
        yield FINDINGS.make("kind_renamed", ended=ended, began=began, **days)
    for names in kinds["spellings"]:
        yield FINDINGS.make("kind_spellings", names=names)
    if left_out := [rule["category"] for rule in kinds["rules"] if not rule["learnt"]]:
        yield FINDINGS.make("kinds_not_learnt", categories=left_out)


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
