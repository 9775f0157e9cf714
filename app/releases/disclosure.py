"""Redact what readers may see of incidents: one policy for all outputs.

Callers who may list incidents (`exact`) get exact values. For everyone else:

- no digests of incidents: compared with guesses they would confirm a single one;
- no scores of fewer than `MIN_GROUP` incidents, and rounded means: one incident's log density would
  reveal its cell, since cells rarely share a density;
- no figures of categories with fewer than `MIN_GROUP` incidents: they count as `OTHER` (`small_counts`).

What changes over time is released in steps of at least `MIN_GROUP` incidents; see `releases`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from app.releases.small_counts import fold_names, grouped_disparity, hidden, too_small
from app.releases.store import MIN_GROUP
from app.runs.words import words
from models.evaluation.metrics import EMPTY_SUMMARY

ALL = "all"
"""The name of all categories together in a memorisation report."""
DECIMALS = 3
"""Of means: a difference must not reveal one further incident's log density."""
MEANS = ("log_score", "cap_auc")
OF_DIFFERENCES = (*MEANS, "mean", "lo", "hi", "cap_auc_lo", "cap_auc_hi")
OF_GAINS = ("gain", "lo", "hi", "p", "t", "p_t", "z", "p_w", "places", "hours", "rate")
_NOTHING: dict[str, Any] = {
    "models": {},
    "differences": [],
    "origins": [],
    "n": 0,
    "counts": None,
    "neighbourhoods": None,
    "small_areas": None,
    "worth": {},
    "consistency": None,
    "information_gain": None,
}
_OPTIONAL = frozenset({"refresh", "streets"})
"""Members of a result that some lack; where origins are hidden, only those over the others are shown."""
FINGERPRINTS = frozenset({"data_hash", "artifact_sha256"})
"""Members that depend on every bit of all incidents."""


def without_fingerprints(value: Any) -> Any:
    """Copy JSON without fingerprints at any depth."""
    if isinstance(value, Mapping):
        return {k: without_fingerprints(v) for k, v in value.items() if k not in FINGERPRINTS}
    if isinstance(value, list | tuple):
        return [without_fingerprints(one) for one in value]
    return value


def shown_request(request: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    """Return a training's request without the names of rare categories."""
    if "categories" not in request:
        return dict(request)
    return {**request, "categories": fold_names(request["categories"], shown)}


def shown_words(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run says, or its status alone unless it was made on a release."""
    if on_release(run["request"]):
        return {"message": run["message"], "said": run["said"]}
    status = run["status"]
    return words("run_not_released" if status == "succeeded" else f"run_{status}")


def shown_run(run: Mapping[str, Any], shown: Collection[str], *, withheld: bool) -> dict[str, Any]:
    """Return a training run for readers; of a withheld version only that it is done."""
    found = {**run, "request": shown_request(run["request"], shown)}
    if run["model_version"] is None:
        return {**found, **shown_words(run)}
    if not withheld:
        return found
    metrics = {k: v for k, v in run["metrics"].items() if k == "seconds"}
    hidden_words = words("run_not_released_yet")
    return {**found, "metrics": metrics, **hidden_words, "model_version": None}


def shown_version(version: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    """Return a version for readers: no fingerprints, no names of rare categories."""
    report = dict(version["report"])
    if "data" in report:
        report["data"] = _folded(report["data"], shown)
    if "memorisation" in report:
        report["memorisation"] = _known(report["memorisation"], shown)
    found: dict[str, Any] = without_fingerprints({**version, "report": report})
    found["categories"] = fold_names(version["categories"], shown)
    return {**found, "settings": shown_request(version["settings"], shown)}


def shown_card(card: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    """Return a model card for readers, redacted like a version."""
    found: dict[str, Any] = without_fingerprints(card)
    data = _folded(found["data"], shown, ("categories", "patrol_categories_learnt"))
    memorisation = _known(found["memorisation"], shown)
    settings = shown_request(found["settings"], shown)
    return {**found, "data": data, "memorisation": memorisation, "settings": settings}


def _folded(
    data: Mapping[str, Any],
    shown: Collection[str],
    more: tuple[str, ...] = ("excluded_by_policy", "patrol_categories"),
) -> dict[str, Any]:
    names = ("excluded_categories", *more)
    folded = {k: fold_names(v, shown) if k in names else v for k, v in data.items()}
    if "inexact_times" in data:
        times = data["inexact_times"]
        folded["inexact_times"] = [t for t in times if t["category"] in (None, *shown)]
    if "renamed_kinds" in data:
        folded["renamed_kinds"] = shown_renamings(data["renamed_kinds"], shown)
    return folded


def shown_renamings(found: Sequence[Any], shown: Collection[str]) -> list[Any]:
    """Return renamed kinds whose names everyone may see."""
    return [one for one in found if {*one["ended"], *one["began"]} <= {*shown}]


def _known(by_name: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in by_name.items() if name in (ALL, *shown)}


def shown_mean(total: float, n: float) -> float | None:
    """Round a mean of incidents' log densities; None for too few of them."""
    return rounded(total / n) if n >= MIN_GROUP else None


def rounded(mean: float) -> float:
    """Round a mean of enough incidents."""
    return round(float(mean), DECIMALS)


def shown_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Round a summary of scores; empty it if it covers too few incidents."""
    if summary["n"] < MIN_GROUP:
        return {**summary, **EMPTY_SUMMARY, "n": summary["n"]}
    return {**summary, **_all_rounded(summary, MEANS)}


def shown_difference(difference: Mapping[str, Any]) -> dict[str, Any]:
    """Round a difference of two models' scores."""
    shown = {**difference, **_all_rounded(difference, OF_DIFFERENCES)}
    if "hit_rate" in difference:
        rates = difference["hit_rate"]
        shown["hit_rate"] = {k: _all_rounded(one, OF_DIFFERENCES) for k, one in rates.items()}
    return shown


def shown_validation(scores: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """Return a validation without single days' scores, and empty if it had few incidents."""
    shown = {name: value for name, value in scores.items() if name != "place_reference"}
    if exact or not scores:
        return shown
    if scores["n"] < MIN_GROUP:
        return {name: shown[name] for name in ("n", "origin_s") if name in shown}
    models = {name: shown_summary(one) for name, one in scores.get("models", {}).items()}
    differences = {n: shown_difference(d) for n, d in scores.get("differences", {}).items()}
    shares = shown.get("neighbourhoods")
    return {
        **shown_summary(shown),
        "models": models,
        "differences": differences,
        **({"neighbourhoods": shown_shares(shares, scores["n"])} if shares else {}),
        **({"worth": shown_worth(shown["worth"])} if "worth" in shown else {}),
    }


def shown_worth(worth: Mapping[str, Any]) -> dict[str, Any]:
    """Round what a model is worth."""
    listed = worth["list_share"]
    gains = {name: _all_rounded(gain, OF_DIFFERENCES) for name, gain in worth["gains"].items()}
    return {**worth, "list_share": None if listed is None else rounded(listed), "gains": gains}


def shown_backtest(result: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """Return a backtest's result; for readers rounded, with sufficiently large origins only.

    What plans are made of (`plans`) is for the service alone: it is large, and as fine as the data.
    """
    result = {name: value for name, value in result.items() if name != "plans"}
    if exact:
        return {name: value for name, value in result.items() if name != "released"}
    shown: dict[str, Any] = without_fingerprints(released_result(result))
    models = {
        name: {**shown_summary(one), "per_origin": [shown_summary(o) for o in one["per_origin"]]}
        for name, one in shown["models"].items()
    }
    shares = shown.get("neighbourhoods")
    if refresh := shown.get("refresh"):
        worth = [shown_difference(d) for d in refresh["differences"]]
        shown["refresh"] = {**refresh, "differences": worth}
    return {
        **shown,
        "models": models,
        "differences": [shown_difference(d) for d in shown["differences"]],
        "worth": {name: shown_worth(one) for name, one in shown.get("worth", {}).items()},
        "information_gain": _rounded_gains(shown.get("information_gain")),
        "neighbourhoods": shares and shown_shares(shares, shown["n"]),
    }


def _rounded_gains(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    rows = [{**row, **_all_rounded(row, OF_GAINS)} for row in found["rows"]]
    return {**found, "rows": rows}


def shown_shares(shares: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Return shares by neighbourhood; those of few incidents are hidden together."""
    rows = shares["rows"]
    known = [row["incident_share"] for row in rows]
    left = max(0.0, 1.0 - sum(share for share in known if share is not None))
    n_hidden = max(1, sum(share is None for share in known))
    share = np.array([left / n_hidden if one is None else one for one in known])
    counts = [0 if one is None else round(one * n) for one in known]
    left_out = too_small(counts, MIN_GROUP)
    flagged = {
        model: np.array([row["flagged_share"][model] for row in rows])
        for model in shares["disparity"]
    }
    return {
        **shares,
        "minimum_count": max(MIN_GROUP, shares["minimum_count"]),
        "disparity": {m: grouped_disparity(f, share, left_out) for m, f in flagged.items()},
        "rows": [hidden(row) if i in left_out else row for i, row in enumerate(rows)],
    }


def shown_look(look: Mapping[str, Any], *, exact: bool) -> dict[str, Any]:
    """Return a drift check; readers get its outcome alone, since checks grow day by day."""
    if exact:
        return dict(look)
    return {**look, "p_value": None, "details": {}}


def shown_report(report: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """Return a version's report; for readers without the places of default geocodes."""
    data = report.get("data", {})
    if exact or not data.get("default_geocodes"):
        return dict(report)
    counts = [{"n_incidents": one["n_incidents"]} for one in data["default_geocodes"]]
    return {**report, "data": {**data, "default_geocodes": counts}}


def _all_rounded(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    known = {name: values[name] for name in names if values.get(name) is not None}
    return {name: rounded(value) for name, value in known.items()}


def on_release(request: Mapping[str, Any]) -> bool:
    """Return whether a run was limited to a release; others are only for who may list incidents."""
    return "release" in request


def released_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a result that readers may see, before rounding.

    Without a release nothing: two such results may differ by one incident.
    """
    provenance = result.get("provenance", {})
    if not on_release(provenance.get("request", {})):
        return {
            **{name: result.get(name) for name in ("region", "cell_size_m", "horizon_days")},
            **_NOTHING,
            "provenance": {
                k: v for k, v in provenance.items() if k not in ("n_incidents", "n_outside")
            },
        }
    shown = {name: value for name, value in result.items() if name != "released"}
    released = result.get("released", {})
    if released is None:
        return shown
    of_all = {name: value for name, value in shown.items() if name not in _OPTIONAL}
    return {**of_all, **_NOTHING, **released}
