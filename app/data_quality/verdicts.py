"""What a data report opens with: can this be forecast by the hour, by the place, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.messages import Message, MessageTable
from app.data_quality.checks.coordinate_precision import FewPlaces, few_places

MOST_HEAPED, SOME_HEAPED = 0.5, 0.02
LITTLE_INFORMATION, SOME_INFORMATION = 0.42, 0.8
"""On the hour of the week; a date alone has 0.38."""
MOST_DEFAULT, SOME_DEFAULT = 0.5, 0.05
VERDICTS = MessageTable(
    {
        "no_incidents": "There are no incidents yet.",
        "hours_known": "By the hour: yes. Times are known and the hours of the day differ.",
        "hours_one_time": "By the hour: no. {share:.0%} of the incidents have one time of day, {at}: "
        "these are dates without a time.",
        "hours_heaped": "By the hour: {answer}. {share:.0%} of the incidents are heaped at {at}, beyond "
        "what the hours around have: their times are probably unknown.",
        "hours_inexact": "By the hour: {answer}. {share:.0%} of the incidents have no exact time; "
        "{information:.0%} of the information on the hour of the week is left.",
        "hours_alike": "By the hour: weakly. {n:,} incidents do not show that the hours of the day "
        "differ.",
        "places_known": "By the place: yes. {distinct:,} distinct places.",
        "places_one": "By the place: no. All incidents lie on one point.",
        "places_few": "By the place: weakly. {n:,} incidents lie on only {distinct:,} points, typically "
        "{nearest_m:,.0f} m apart: one per precinct or block, not where they happened.",
        "places_rounded": "By the place: weakly. Coordinates are rounded to {decimals} decimals, steps of "
        "about {step_m:,.0f} m, with cells of {cell_size_m:,.0f} m.",
        "places_default": "By the place: {answer}. {share:.0%} of the incidents lie on default geocodes and "
        "are left out.",
        "next_send": "Next: send incidents.",
        "next_send_times": "Next: export the column with the time of day, or read forecasts over whole days "
        "only.",
        "next_unknown_times": "Next: train. Unknown times at midnight and noon count as any time of their "
        "day. If the source has the end of an interval, send it as occurred_to, and dates without a time "
        "with date_only=interval.",
        "next_interval_ends": "Next: if the heaped times are the starts of intervals, send their ends too, "
        "as occurred_to; otherwise read forecasts over several hours.",
        "next_several_hours": "Next: train, and read forecasts over several hours. Send exact times where "
        "the source has them.",
        "next_send_more": "Next: send more months, or read forecasts over several hours.",
        "next_larger_cells": "Next: send the incidents' own coordinates, or use cells of at least "
        "{cell_size_m:,.0f} m.",
        "next_own_places": "Next: send the incidents' own coordinates.",
        "next_check_places": "Next: check the places below; name real ones in the policy's keep_places.",
        "next_merge_kinds": "Next: give renamed kinds one name, then train.",
        "next_swap": "Next: exchange longitude and latitude in the rejected rows and send them again.",
        "next_train": "Next: train.",
    }
)
Report = Mapping[str, Any]


def verdicts(report: Report) -> dict[str, dict[str, Any]]:
    """Return `hour`, `place` (each with `answer`: yes, weakly or no) and `next_step`, as messages."""
    n = report["incidents"]["n"]
    hour, place = _hour(report, n), _place(report["places"], n)
    step = next(_steps(report, hour[1], place[1]))
    return {
        **{
            name: {"answer": answer, **message.to_json()}
            for name, (answer, message) in (("hour", hour), ("place", place))
        },
        "next_step": step.to_json(),
    }


def _hour(report: Report, n: int) -> tuple[str, Message]:
    times, known = report["times"], report["time_precision"]["all"]
    if n == 0:
        return "no", VERDICTS.make("no_incidents")
    if one := times["one_time"]:
        return "no", VERDICTS.make("hours_one_time", share=one["share"], at=one["at"])
    information = known["hour_information"]
    inexact = {"share": 1 - known["exact_share"], "information": information}
    if information < LITTLE_INFORMATION and times["excess_share"] < MOST_HEAPED:
        return "no", VERDICTS.make("hours_inexact", answer="no", **inexact)
    if times["excess_share"] >= SOME_HEAPED:
        answer = "no" if times["excess_share"] >= MOST_HEAPED else "weakly"
        at = [found["at"] for found in times["told"] if found["spike"]]
        share = times["excess_share"]
        return answer, VERDICTS.make("hours_heaped", answer=answer, share=share, at=at)
    if information < SOME_INFORMATION:
        return "weakly", VERDICTS.make("hours_inexact", answer="weakly", **inexact)
    if times["hours_alike"]:
        return "weakly", VERDICTS.make("hours_alike", n=n)
    return "yes", VERDICTS.make("hours_known")


def _place(places: Report, n: int) -> tuple[str, Message]:
    distinct = places["distinct"]
    if n == 0:
        return "no", VERDICTS.make("no_incidents")
    if distinct == 1:
        return "no", VERDICTS.make("places_one")
    if few := few_places_in(places, n):
        return "weakly", VERDICTS.make("places_few", **vars(few))
    cell_size_m = places["cell_size_m"]
    if places["step_m"] is not None and places["step_m"] > cell_size_m:
        rounding = {name: places[name] for name in ("decimals", "step_m", "cell_size_m")}
        return "weakly", VERDICTS.make("places_rounded", **rounding)
    share = sum(pile["share"] for pile in places["piles"])
    if share >= SOME_DEFAULT:
        answer = "no" if share >= MOST_DEFAULT else "weakly"
        return answer, VERDICTS.make("places_default", answer=answer, share=share)
    return "yes", VERDICTS.make("places_known", distinct=distinct)


def few_places_in(places: Report, n: int) -> FewPlaces | None:
    """Return the few places of a report's n incidents, or None."""
    names = ("distinct", "share_on_repeated", "nearest_m", "cell_size_m")
    return few_places(n, *(places[name] for name in names))


def _steps(report: Report, hour: Message, place: Message) -> Iterator[Message]:
    """Yield what to do next, the most urgent first."""
    uploads, places = report["uploads"], report["places"]
    if 2 * uploads["swapped_coordinates"] > uploads["received"] > 0:
        yield VERDICTS.make("next_swap")
    if hour.code == "no_incidents":
        yield VERDICTS.make("next_send")
    if hour.code == "hours_one_time":
        yield VERDICTS.make("next_send_times")
    yield from _place_steps(places, place)
    if hour.code == "hours_heaped":
        yield _heap_step(report)
    if report["kinds"]["renamed"] or report["kinds"]["spellings"]:
        yield VERDICTS.make("next_merge_kinds")
    if hour.code == "hours_inexact":
        yield VERDICTS.make("next_several_hours")
    if hour.code == "hours_alike":
        yield VERDICTS.make("next_send_more")
    yield VERDICTS.make("next_train")


def _heap_step(report: Report) -> Message:
    """Return what to do about heaped times: trainings spread those of midnight and noon."""
    placeholders = report["time_precision"]["all"]["placeholder_share"]
    is_spread = 2 * placeholders >= report["times"]["excess_share"]
    return VERDICTS.make("next_unknown_times" if is_spread else "next_interval_ends")


def _place_steps(places: Report, place: Message) -> Iterator[Message]:
    if place.code == "places_one":
        yield VERDICTS.make("next_own_places")
    if place.code == "places_few":
        yield VERDICTS.make("next_larger_cells", cell_size_m=places["nearest_m"])
    if place.code == "places_rounded":
        yield VERDICTS.make("next_larger_cells", cell_size_m=places["step_m"])
    if place.code == "places_default":
        yield VERDICTS.make("next_check_places")
