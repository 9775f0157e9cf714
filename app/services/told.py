"""What readers are told of versions and evaluations: a single incident's score would tell its cell.

Who may list incidents (`exact`) is told all digits: others' backtests can be repeated from them.

Scores of fewer than `MIN_TOLD` incidents are left out as if there were none, and means are rounded: two
validations whose incidents differ by one would tell that one's by their difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.evaluation.metrics import EMPTY_SUMMARY

MIN_TOLD = 20
"""Incidents; the log density of a single one tells its cell and hour, since no two cells have the same."""
TOLD_DECIMALS = 3
"""Of means: so that one more incident does not tell its own log density by the difference."""
MEANS = ("log_score", "cap_auc")
OF_DIFFERENCES = (*MEANS, "mean", "lo", "hi", "cap_auc_lo", "cap_auc_hi")


def told_mean(total: float, n: float) -> float | None:
    """A mean of incidents' log densities as far as it may be told: rounded, not of few of them."""
    return rounded(total / n) if n >= MIN_TOLD else None


def rounded(mean: float) -> float:
    """A mean of enough incidents, as told."""
    return round(float(mean), TOLD_DECIMALS)


def told_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary of scores, and what may stand beside it."""
    if summary["n"] < MIN_TOLD:
        return {**summary, **EMPTY_SUMMARY, "n": summary["n"]}
    return {**summary, **_all_rounded(summary, MEANS)}


def told_difference(difference: Mapping[str, Any]) -> dict[str, Any]:
    """A difference of two models' scores."""
    return {**difference, **_all_rounded(difference, OF_DIFFERENCES)}


def told_validation(scores: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """A validation: without the scores of single days, and empty where it had few incidents."""
    told = {name: value for name, value in scores.items() if name != "place_reference"}
    if exact or not scores:
        return told
    if scores["n"] < MIN_TOLD:
        return {name: told[name] for name in ("n", "origin_s", "neighbourhoods") if name in told}
    models = {name: told_summary(one) for name, one in scores.get("models", {}).items()}
    differences = {n: told_difference(d) for n, d in scores.get("differences", {}).items()}
    return {**told_summary(told), "models": models, "differences": differences}


def told_backtest(result: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """A backtest's result: without models where it had few incidents, and so of each origin."""
    if exact:
        return dict(result)
    if result["n"] < MIN_TOLD:
        return {**result, "models": {}, "differences": []}
    models = {
        name: {**told_summary(one), "per_origin": [told_summary(o) for o in one["per_origin"]]}
        for name, one in result["models"].items()
    }
    return {
        **result,
        "models": models,
        "differences": [told_difference(d) for d in result["differences"]],
    }


def told_report(report: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """A version's report: of default geocodes how many incidents, not where."""
    data = report.get("data", {})
    if exact or not data.get("default_geocodes"):
        return dict(report)
    piles = [{"n_incidents": pile["n_incidents"]} for pile in data["default_geocodes"]]
    return {**report, "data": {**data, "default_geocodes": piles}}


def _all_rounded(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    known = {name: values[name] for name in names if values.get(name) is not None}
    return {name: rounded(value) for name, value in known.items()}
