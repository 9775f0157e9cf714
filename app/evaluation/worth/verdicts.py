"""What gains mean, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from math import expm1
from typing import Any

from app.core.messages import Message, MessageTable
from app.evaluation.worth.table import outcome
from models.evaluation.worth import OVER_ALL_YEARS

PER = 1_000
"""Hits are said of so many incidents."""
VERDICTS_OF_WORTH = MessageTable(
    {
        "worth_places_more": "places: one list for all hours catches {mean:.1f} more of 1,000 incidents than "
        "last year's list of the same area ({lo:+.1f} to {hi:+.1f})",
        "worth_places_same": "places: no more than a list of last year's places; the difference of one "
        "list for all hours is {mean:+.1f} of 1,000 incidents ({lo:+.1f} to {hi:+.1f})",
        "worth_places_fewer": "places: last year's list is better; the difference of one list "
        "for all hours is {mean:+.1f} of 1,000 incidents ({lo:+.1f} to {hi:+.1f})",
        "worth_places_mixed": "places: the difference of one list for all hours from last year's "
        "list is {mean:+.1f} of 1,000 incidents ({lo:+.1f} to {hi:+.1f}), but cities differ "
        "({lowest:+.1f} to {highest:+.1f})",
        "worth_all_years_more": "all years: it catches {mean:.1f} more of 1,000 incidents than a list of all "
        "years ({lo:+.1f} to {hi:+.1f})",
        "worth_all_years_same": "all years: no more than a list of all years' places ({mean:+.1f} of 1,000 "
        "incidents, {lo:+.1f} to {hi:+.1f})",
        "worth_all_years_fewer": "all years: a list of all years is better ({mean:+.1f} of 1,000 incidents, "
        "{lo:+.1f} to {hi:+.1f})",
        "worth_all_years_mixed": "all years: the difference from a list of all years is {mean:+.1f} of 1,000 "
        "incidents ({lo:+.1f} to {hi:+.1f}), but cities differ ({lowest:+.1f} to {highest:+.1f})",
        "worth_hour_more": "the hour: a list for the hour asked catches {mean:.1f} more of 1,000 incidents "
        "than one list for all hours ({lo:+.1f} to {hi:+.1f})",
        "worth_hour_same": "the hour: a list for the hour asked catches no more than one list for all hours "
        "({mean:+.1f} of 1,000 incidents, {lo:+.1f} to {hi:+.1f})",
        "worth_hour_fewer": "the hour: a list for the hour asked catches fewer than one list for all hours "
        "({mean:+.1f} of 1,000 incidents, {lo:+.1f} to {hi:+.1f})",
        "worth_hour_mixed": "the hour: the difference of a list for the hour asked from "
        "one list for all hours is {mean:+.1f} of 1,000 incidents ({lo:+.1f} to {hi:+.1f}), but cities "
        "differ ({lowest:+.1f} to {highest:+.1f})",
        "worth_map_more": "the map: {mean:.1f} % denser where incidents happen than a smooth map of all "
        "incidents ({lo:+.1f} to {hi:+.1f} %), of which the hour is {hour:+.1f} %",
        "worth_map_same": "the map: no denser where incidents happen than a smooth map of all incidents "
        "({mean:+.1f} %, {lo:+.1f} to {hi:+.1f}), of which the hour is {hour:+.1f} %",
        "worth_map_fewer": "the map: less dense where incidents happen than a smooth map of all incidents "
        "({mean:+.1f} %, {lo:+.1f} to {hi:+.1f}), of which the hour is {hour:+.1f} %",
        "worth_map_mixed": "the map: density where incidents happen, against a smooth map of all "
        "incidents: {mean:+.1f} % ({lo:+.1f} to {hi:+.1f} %), but cities differ "
        "({lowest:+.1f} to {highest:+.1f} %), "
        "of which the hour is {hour:+.1f} %",
    }
)
NOTES_ON_WORTH = MessageTable(
    {
        "worth_size_beyond": "{n:,} incidents are beyond the measured {least:,} to {most:,}: figures are "
        "those of {used:,}",
        "worth_delay_beyond": "a delay of {days:,} days is beyond the measured {most} days: figures are "
        "those of {most} days",
        "worth_old_data": "the data end on {until}, {days:,} days ago: figures are for forecasts made when "
        "they ended; give delay_days for another delay",
        "worth_other_model": "typical figures are those of {measured}, this region is served by {model}",
        "worth_not_tested": "no test of this region says what its forecast is worth: start a backtest with "
        "{model}, pooled-kde and prior-counts",
    }
)


_OF_HITS = {"places": "places_hits", "all_years": OVER_ALL_YEARS, "hour": "hour_hits"}


def verdicts(gains: Mapping[str, Mapping[str, float]]) -> list[Message]:
    """Return a sentence on places, all years, hour and map, of those whose gains are known."""
    make = VERDICTS_OF_WORTH.make
    found = [
        make(f"worth_{topic}_{outcome(gains[gain])}", **_scaled(gains[gain], _per_thousand))
        for topic, gain in _OF_HITS.items()
        if gain in gains
    ]
    if "nats" in gains:
        params = {
            **_scaled(gains["nats"], _percent),
            "hour": _percent(gains["hour_nats"]["mean"]),
        }
        found.append(make(f"worth_map_{outcome(gains['nats'])}", **params))
    return found


def _scaled(gain: Mapping[str, float], scale: Any) -> dict[str, float]:
    return {end: scale(value) for end, value in gain.items()}


def _per_thousand(share: float) -> float:
    return round(PER * share, 1)


def _percent(nats: float) -> float:
    return round(100 * expm1(nats), 1)
