"""Tables of a backtest's joint tests, gains and lists, for its report and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.output.html_page import percent


@dataclass(frozen=True)
class PlainTable:
    """A table as plain texts."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def plain_tables(result: dict[str, Any]) -> list[PlainTable]:
    """Return the tables of what a result has; results of earlier versions, or of readers, may lack some."""
    found = [
        _consistency(result.get("consistency")),
        _failures(result.get("consistency")),
        _gains(result.get("information_gain")),
        _lists(result["models"]),
    ]
    return [one for one in found if one is not None and one.rows]


def _consistency(found: dict[str, Any] | None) -> PlainTable | None:
    if not found or not found["models"]:
        return None
    first = next(iter(found["models"].values()))["per_origin"]
    alone = sum(not one["clustering"]["periods"] for one in first)
    rows = [
        [name, *(f"{one[test]['passed']} of {one[test]['of']}" for test in ("N", "S", "CL", "all"))]
        for name, one in found["models"].items()
    ]
    return PlainTable(
        "periods in which what happened looked like what was forecast: its number (N), places (S), "
        "hours and places (CL). Clustering is estimated on up to "
        f"{found['periods_before']} earlier periods; for {alone} of the origins there was none, and "
        "incidents were drawn independently",
        ["model", "N", "S", "CL", "all three"],
        rows,
    )


def _failures(found: dict[str, Any] | None) -> PlainTable | None:
    if not found:
        return None
    rows = [
        [name, failure["origin"][:10], failure["test"], f"{failure['quantile']:.3f}"]
        for name, one in found["models"].items()
        for failure in one["failures"]
    ]
    return PlainTable("periods that failed", ["model", "from", "test", "quantile"], rows)


def _gains(found: dict[str, Any] | None) -> PlainTable | None:
    if not found:
        return None
    rows = [
        [
            f"{row['model']} over {row['against']}",
            f"{row['gain']:+.3f} [{row['lo']:+.3f}, {row['hi']:+.3f}]",
            *(f"{row[part]:+.3f}" for part in ("places", "hours", "rate")),
            *(f"{row[p]:.3f}" for p in ("p", "p_t", "p_w")),
        ]
        for row in found["rows"]
    ]
    return PlainTable(
        "information gain in nats per incident, with the counts of hours, over references with last "
        f"year's mean number; blocks of {found['block_days']} days resampled. The T- and W-test take "
        "incidents as independent",
        ["gain", "all [95 %]", "places", "hours", "rate term", "p", "p (T)", "p (W)"],
        rows,
    )


def _lists(models: dict[str, Any]) -> PlainTable | None:
    known = {name: one for name, one in models.items() if one.get("near_misses")}
    if not known:
        return None
    distances = next(iter(known.values()))["near_misses"]["distance_m"]
    rows = []
    for name, one in known.items():
        near, moves = one["near_misses"], one["turnover"]
        scores = near["fss"] or [None] * len(distances)
        rows.append(
            [
                name,
                *("" if score is None else f"{score:.3f}" for score in scores),
                *(percent(moves[part]) for part in ("jaccard", "left", "flip_flop")),
            ]
        )
    return PlainTable(
        "one list of the top 5 % for all hours: Fractions Skill Score within a distance (1: as the "
        "fullest cells of the period); overlap with the next origin's list, share that leaves it, share "
        "of those that come back",
        ["model", *(f"{d} m" for d in distances), "overlap", "leave", "come back"],
        rows,
    )
