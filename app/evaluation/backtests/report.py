"""A backtest's result as one self-contained HTML page: tables, curves, provenance."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from app.core.output.html_page import page, percent, svg, table
from app.evaluation.backtests.consistency.joint_tables import plain_tables
from app.evaluation.backtests.plots import calibration_plot, cap_plot

MAX_NEIGHBOURHOODS = 25
SHOWN = 1
"""Which percentage of the streets' length differences are shown at."""
_STREET_LISTS = {
    "all_hours": "one for all hours",
    "by_hour": "each hour's own",
    "cells": "cells, by length alone",
}


def html_report(result: dict[str, Any]) -> str:
    """Return the HTML page of a backtest's result."""
    region = escape(str(result.get("region", "")))
    summary = (
        f"{result['n']:,} incidents in {len(result['origins'])} test periods of "
        f"{result['horizon_days']} days; each model was fitted to earlier incidents only. "
        f"Cells of {result.get('cell_size_m', 0):g} m."
    )
    parts = [
        f"<h1>Backtest of {region}</h1><p>{summary}</p>",
        _scores(result),
        _differences(result),
        _small_areas(result.get("small_areas")),
        _streets(result.get("streets")),
        svg(cap_plot(result, "svg")),
        "<h2>Calibration</h2>",
        svg(calibration_plot(result, "svg")),
        _counts(result.get("counts")),
        *(table(one.caption, one.heads, one.rows) for one in plain_tables(result)),
        _flagged(result),
        _neighbourhoods(result.get("neighbourhoods")),
        "<h2>Provenance</h2><details><summary>request, data and versions</summary><pre>",
        escape(json.dumps(result.get("provenance", {}), indent=2)),
        "</pre></details>",
    ]
    return page(f"Backtest of {region}", parts)


def _ordered(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    scored = [item for item in result["models"].items() if item[1]["n"]]
    return sorted(scored, key=lambda item: -item[1]["log_score"])


def _scores(result: dict[str, Any]) -> str:
    percents = ("1", "5", "10", "15", "20")
    rows = [
        [
            name,
            f"{s['log_score']:.4f}",
            f"{s['cap_auc']:.4f}",
            *(f"{percent(s['hit_rate'][k])} ({s['hits'][k]})" for k in percents),
            f"{s['pai']['5']:.2f}",
            f"{s['pei']['5']:.2f}",
            f"{s['seconds']:.0f}",
        ]
        for name, s in _ordered(result)
    ]
    heads = ["model", "log score", "CAP-AUC", *(f"hits {k} %" for k in percents)]
    return table(
        "log score: mean ln density per km2; hits: share (number) of incidents in the top-k% cells",
        [*heads, "PAI 5 %", "PEI 5 %", "seconds"],
        rows,
    )


def _differences(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{d['model']} minus {d['against']}",
            f"{d['log_score']:+.4f} [{d['lo']:+.4f}, {d['hi']:+.4f}]",
            f"{d['p_holm']:.3f}",
            f"{d['p_diebold_mariano']:.3f}",
            f"{d['cap_auc']:+.4f} [{d['cap_auc_lo']:+.4f}, {d['cap_auc_hi']:+.4f}]",
            _points(d),
        ]
        for d in result["differences"]
    ]
    return table(
        "nats per incident with 95 % intervals (whole weeks resampled)",
        ["difference", "log score", "p (Holm)", "p (Diebold-Mariano)", "CAP-AUC", "hits 5 %"],
        rows,
    )


def _small_areas(found: dict[str, Any] | None) -> str:
    """Return what lists of small areas caught over whole test periods, one list for all hours."""
    if not found:
        return ""
    rows = [
        [
            name,
            f"{row['budget_km2']:g} km2",
            f"{row['hits']:g} of {row['n']:,}",
            *(_interval(row, index) for index in ("pai", "pei", "rri")),
            ""
            if "difference" not in row
            else "{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**row["difference"]),
        ]
        for name, lists in found["models"].items()
        for row in lists["periods"][-len(found["areas_km2"]) :]
    ]
    return table(
        "the best places of small areas, one list for all hours of a test period",
        ["model", "area", "hits", "PAI", "PEI", "RRI", "hits minus prior-counts"],
        rows,
    )


def _streets(found: dict[str, Any] | None) -> str:
    """Return what the best streets of equal length caught, and the lists that they are compared with."""
    if not found:
        return ""
    rivals = [("streets by last year's counts", "", found["counts"])]
    lists = rivals + [
        (name, said, scores[kind])
        for name, scores in found["models"].items()
        for kind, said in _STREET_LISTS.items()
    ]
    rows = [
        [
            name,
            said,
            *(
                f"{percent(row['share'])} [{percent(row['share_lo'])}, {percent(row['share_hi'])}]"
                for row in scored
            ),
            *(
                "{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**gap)
                for gap in scored[SHOWN].get("differences", {}).values()
            ),
        ]
        for name, said, scored in lists
    ]
    heads = [f"{k} % of length" for k in found["percents"]]
    at = f"{found['percents'][SHOWN]} %"
    return table(
        f"the best of {found['length_km']:,.0f} km of streets, at equal length: share of all {found['n']:,} "
        "incidents",
        [
            "model",
            "list",
            *heads,
            f"{at}: hits minus last year's counts",
            f"{at}: hits minus cells",
        ],
        rows,
    )


def _interval(row: dict[str, Any], name: str) -> str:
    value, lo, hi = (row[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    return "" if value is None else f"{value:.3g} [{lo:.3g}, {hi:.3g}]"


def _points(d: dict[str, Any]) -> str:
    """Return a difference of hit rates; results of earlier versions have none."""
    if "hit_rate" not in d:
        return ""
    mean, lo, hi = (100 * d["hit_rate"]["5"][end] for end in ("mean", "lo", "hi"))
    return f"{mean:+.2f} % [{lo:+.2f}, {hi:+.2f}]"


def _counts(counts: dict[str, Any] | None) -> str:
    if not counts:
        return ""
    rows = [
        [
            o["origin"][:10],
            f"{o['observed']:,}",
            f"{o['expected']:,.0f} [{o['total']['lo']:,.0f}, {o['total']['hi']:,.0f}]",
            percent(o["coverage"]),
        ]
        for o in counts["per_origin"]
    ]
    caption = f"number of incidents; hourly intervals held {percent(counts['coverage'])} of hours"
    return table(caption, ["from", "observed", "expected [90 %]", "hours inside"], rows)


def _flagged(result: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{s['flagged']['patches']:.0f}",
            f"{s['flagged']['shared_sides']:.2f}",
            percent(s["flagged"]["overlap_with_next_origin"]),
            f"{s['calibration']['worst_gap']:.3f}",
            "" if s["seeds"]["log_score_sd"] is None else f"{s['seeds']['log_score_sd']:.4f}",
        ]
        for name, s in _ordered(result)
    ]
    return table(
        "the top 5 % of cells: patches, share of sides between flagged cells, overlap (Jaccard) "
        "with the next origin's; largest calibration gap; spread over seeds",
        ["model", "patches", "shared sides", "overlap", "worst gap", "log score sd over seeds"],
        rows,
    )


def _neighbourhoods(found: dict[str, Any] | None) -> str:
    if not found:
        return "<h2>By neighbourhood</h2><p>The region's boundary has no named neighbourhoods.</p>"
    models = sorted(found["disparity"], key=lambda m: found["disparity"][m]["misplaced"])
    rows = [
        [
            r["name"],
            percent(r["area_share"]),
            percent(r["population_share"]),
            percent(r["incident_share"]),
            *(percent(r["flagged_share"][m]) for m in models),
        ]
        for r in found["rows"][:MAX_NEIGHBOURHOODS]
    ]
    gaps = ", ".join(f"{m} {percent(found['disparity'][m]['misplaced'])}" for m in models)
    shares = table(
        f"shares of area, population, incidents and the flagged top {found['flagged_percent']} %",
        ["neighbourhood", "area", "population", "incidents", *models],
        rows,
    )
    return (
        "<h2>By neighbourhood</h2><p>Share of the flagged area that would have to move to match "
        f"the share of incidents: {escape(gaps)}.</p>{shares}"
    )
