"""The record in sum: what the forecasts caught, beside last year's list, over all days scored so far."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from app.regions.store import Region
from app.register import store
from app.register.parts import SHARES
from app.releases.disclosure import rounded
from app.releases.store import MIN_GROUP
from models.evaluation.significance import wilson_interval
from models.evaluation.small_areas import paired_hits

WEEK = timedelta(days=7)
WAIT = timedelta(days=35)
"""How long after its end a week waits for days without a score before readers see the others."""
LISTS = ("champion", "prior_counts")
SUMMED = ("days", "days_covered", "n", "expected", "hours", "hours_covered")


def summed(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up days' scores, or sums of them."""
    days = [{"days": 1, "days_covered": int(one.get("covered", 0)), **one} for one in scores]
    found: dict[str, Any] = {name: sum(day[name] for day in days) for name in SUMMED}
    found["hits"] = {
        str(percent): {
            name: sum(day["hits"][str(percent)][name] for day in days) for name in (*LISTS, "both")
        }
        for percent in SHARES
    }
    found["log_density"] = {name: sum(day["log_density"][name] for day in days) for name in LISTS}
    return found


def shown(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Return sums as replies have them: shares with 95 % intervals, means, what the lists differ by."""
    n = sums["n"]
    log_scores = {name: sums["log_density"][name] / n if n else None for name in LISTS}
    return {
        **{name: sums[name] for name in SUMMED},
        "shares": {
            percent: {
                **{name: _share(hits[name], n) for name in LISTS},
                "difference": paired_hits(
                    round(hits["champion"] - hits["both"]),
                    round(hits["prior_counts"] - hits["both"]),
                ),
            }
            for percent, hits in sums["hits"].items()
        },
        "log_score": log_scores,
    }


def _share(hits: float, n: int) -> dict[str, Any]:
    lo, hi = wilson_interval(min(hits, n), n)
    return {"hits": round(hits, 3), "share": hits / n if n else None, "lo": lo, "hi": hi}


def exact_totals(connection: Connection, region_key: int) -> dict[str, Any]:
    """Return the record of all scored days by their last score (`last`) and by their first (`first`)."""
    first: dict[date, str] = {}
    last: dict[date, str] = {}
    for row in store.all_scores(connection, region_key):
        if row.score is not None:
            first.setdefault(row.day, row.score)
            last[row.day] = row.score
    return {
        name: shown(summed([json.loads(score) for score in of_day.values()]))
        for name, of_day in (("last", last), ("first", first))
    }


def released_totals(connection: Connection, region_key: int) -> dict[str, Any]:
    """Return the record as readers see it: whole weeks of enough incidents, by first scores."""
    found = [row.figures for row in store.periods(connection, region_key)]
    total = shown(summed(found))
    means = total["log_score"]
    total["log_score"] = {k: None if v is None else rounded(v) for k, v in means.items()}
    return {"last": total, "first": total}


def release_periods(connection: Connection, region: Region, now: datetime) -> int:
    """Write what readers may see of the weeks that are over and scored; return how many periods.

    A period has whole weeks with at least `MIN_GROUP` incidents, by the first scores of their days, and
    never changes: no two views of a reader differ by a single incident.
    """
    known = store.periods(connection, region.key)
    since = known[-1].to_day if known else date.min
    made = 0
    for begin, end, scores in _periods(store.all_scores(connection, region.key), since, now):
        store.add_period(connection, region.key, begin, end, _blurred(summed(scores)))
        made += 1
    return made


def _periods(
    rows: Sequence[Row[Any]], since: date, now: datetime
) -> Iterator[tuple[date, date, list[dict[str, Any]]]]:
    """Yield periods since a day: (first Monday, Monday after, scores)."""
    waiting: list[dict[str, Any]] = []
    begin: date | None = None
    for monday, mine in _weeks(rows).items():
        if monday < since:
            continue
        first = {row.day: row.score for row in reversed(mine) if row.score is not None}
        is_late = now >= max(row.ends_at for row in mine) + WAIT
        open_days = {row.day for row in mine if row.whole and row.day not in first}
        if now.date() <= monday + WEEK or (open_days and not is_late):
            return
        begin = begin or monday
        waiting += [json.loads(score) for _, score in sorted(first.items())]
        if sum(one["n"] for one in waiting) >= MIN_GROUP:
            yield begin, monday + WEEK, waiting
            waiting, begin = [], None


def _weeks(rows: Sequence[Row[Any]]) -> dict[date, list[Row[Any]]]:
    weeks: dict[date, list[Row[Any]]] = {}
    for row in rows:
        weeks.setdefault(row.day - timedelta(days=row.day.weekday()), []).append(row)
    return weeks


def _blurred(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Round sums so that no single incident's hour or cell shows in their fractions."""
    n = sums["n"]
    return {
        **sums,
        "expected": round(sums["expected"], 1),
        "hits": {k: {name: round(v) for name, v in one.items()} for k, one in sums["hits"].items()},
        "log_density": {name: rounded(v / n) * n for name, v in sums["log_density"].items()},
    }
