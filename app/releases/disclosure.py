"""What readers may see of incidents: one policy for every door.

Callers who may list incidents (`exact`) get all digits. For everyone else:

- no digest of incidents in any form: tried against guesses it would confirm a single one;
- no score of fewer than `MIN_GROUP` incidents, and means rounded: one incident's log density tells
  its cell, since hardly two cells have the same;
- no figures of categories with fewer than `MIN_GROUP` incidents: they count as `OTHER`.

What changes over time is released in steps of at least `MIN_GROUP` incidents; see `releases`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from app.releases.store import MIN_GROUP
from models.base import FloatArray
from models.evaluation.hotspot_area import disparity
from models.evaluation.metrics import EMPTY_SUMMARY

OTHER = "other"
"""The name under which small categories are counted together."""
ALARM_MESSAGES = {
    "volume": "the number of incidents is not the one that was expected",
    "calibration": "more hourly counts than expected lie outside their 90 % intervals",
}
ALL = "all"
"""The name of all categories together in a memorisation report."""
DECIMALS = 3
"""Of means: one more incident must not show its own log density by the difference."""
MEANS = ("log_score", "cap_auc")
OF_DIFFERENCES = (*MEANS, "mean", "lo", "hi", "cap_auc_lo", "cap_auc_hi")
_NOTHING: dict[str, Any] = {
    "models": {},
    "differences": [],
    "origins": [],
    "n": 0,
    "counts": None,
    "neighbourhoods": None,
}
FINGERPRINTS = frozenset({"data_hash", "artifact_sha256"})
"""Members that are functions of all incidents, bit for bit."""


def without_fingerprints(value: Any) -> Any:
    """Copy JSON without its fingerprints, however deep they stand."""
    if isinstance(value, Mapping):
        return {k: without_fingerprints(v) for k, v in value.items() if k not in FINGERPRINTS}
    if isinstance(value, list | tuple):
        return [without_fingerprints(one) for one in value]
    return value


def fold_categories(counts: Mapping[str, int], minimum: int) -> dict[str, int]:
    """Count categories with few incidents together as `OTHER`.

    The total is known, so that of one that is hidden alone, or few together, the number would be too:
    the next larger ones join them.

    >>> fold_categories({"theft": 90, "assault": 25, "arson": 1}, 20)
    {'theft': 90, 'other': 26}
    """
    folded = {name for name, n in counts.items() if n < minimum}
    if OTHER in counts and folded:
        folded.add(OTHER)
    for name in sorted(counts, key=lambda one: (counts[one], one)):
        if not folded or sum(counts[one] for one in folded) >= minimum:
            break
        folded.add(name)
    shown = {name: n for name, n in counts.items() if name not in folded}
    rest = sum(counts[name] for name in folded)
    return {**shown, OTHER: rest} if rest else shown


def fold_names(names: Iterable[str] | None, shown: Collection[str]) -> list[str] | None:
    """Name categories that everyone may see; the others together as `OTHER`.

    >>> fold_names(["arson", "theft"], {"theft", "other"}), fold_names(None, ())
    (['theft', 'other'], None)
    """
    if names is None:
        return None
    return list(
        dict.fromkeys(name if name in shown else OTHER for name in _rare_last(names, shown))
    )


def _rare_last(names: Iterable[str], shown: Collection[str]) -> list[str]:
    return sorted(names, key=lambda name: name not in shown)


def shown_request(request: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    """Show what a training was asked for without the names of rare categories."""
    if "categories" not in request:
        return dict(request)
    return {**request, "categories": fold_names(request["categories"], shown)}


def shown_message(run: Mapping[str, Any]) -> str:
    """Show readers how a run that was not held to a release stands; what it says may count incidents."""
    if on_release(run["request"]):
        return str(run["message"])
    return "done; not released" if run["status"] == "succeeded" else str(run["status"])


def shown_run(run: Mapping[str, Any], shown: Collection[str], *, withheld: bool) -> dict[str, Any]:
    """Show readers a training run; of a version that is withheld from them that it is done."""
    found = {**run, "request": shown_request(run["request"], shown)}
    if run["model_version"] is None:
        return {**found, "message": shown_message(run)}
    if not withheld:
        return found
    kept = {k: v for k, v in run["metrics"].items() if k == "seconds"}
    return {**found, "metrics": kept, "message": "done; not released yet", "model_version": None}


def shown_version(version: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    """Show readers a version: no fingerprints, no names of rare categories."""
    report = dict(version["report"])
    if "data" in report:
        report["data"] = _folded(report["data"], shown)
    if "memorisation" in report:
        report["memorisation"] = _known(report["memorisation"], shown)
    found: dict[str, Any] = without_fingerprints({**version, "report": report})
    found["categories"] = fold_names(version["categories"], shown)
    return {**found, "settings": shown_request(version["settings"], shown)}


def shown_card(card: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    """Show readers a model card, in the same way."""
    found: dict[str, Any] = without_fingerprints(card)
    data = _folded(found["data"], shown, ("categories", "patrol_categories_learnt"))
    memorisation = _known(found["memorisation"], shown)
    settings = shown_request(found["settings"], shown)
    return {**found, "data": data, "memorisation": memorisation, "settings": settings}


def _folded(
    data: Mapping[str, Any], shown: Collection[str], more: tuple[str, ...] = ("patrol_categories",)
) -> dict[str, Any]:
    names = ("excluded_categories", *more)
    return {k: fold_names(v, shown) if k in names else v for k, v in data.items()}


def _known(by_name: Mapping[str, Any], shown: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in by_name.items() if name in (ALL, *shown)}


def shown_mean(total: float, n: float) -> float | None:
    """Round a mean of incidents' log densities; None for too few of them."""
    return rounded(total / n) if n >= MIN_GROUP else None


def rounded(mean: float) -> float:
    """Round a mean of enough incidents."""
    return round(float(mean), DECIMALS)


def shown_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Round a summary of scores; empty it where it stands for too few incidents."""
    if summary["n"] < MIN_GROUP:
        return {**summary, **EMPTY_SUMMARY, "n": summary["n"]}
    return {**summary, **_all_rounded(summary, MEANS)}


def shown_difference(difference: Mapping[str, Any]) -> dict[str, Any]:
    """Round a difference of two models' scores."""
    return {**difference, **_all_rounded(difference, OF_DIFFERENCES)}


def shown_validation(scores: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """Show a validation without the scores of single days, and empty where it had few incidents."""
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
    }


def shown_backtest(result: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """Show a backtest's result; to readers the origins with enough incidents, rounded."""
    if exact:
        return {name: value for name, value in result.items() if name != "released"}
    shown: dict[str, Any] = without_fingerprints(released_result(result))
    models = {
        name: {**shown_summary(one), "per_origin": [shown_summary(o) for o in one["per_origin"]]}
        for name, one in shown["models"].items()
    }
    shares = shown.get("neighbourhoods")
    return {
        **shown,
        "models": models,
        "differences": [shown_difference(d) for d in shown["differences"]],
        "neighbourhoods": shares and shown_shares(shares, shown["n"]),
    }


def shown_shares(shares: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Show shares by neighbourhood; those that stand for few incidents are hidden together."""
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
        "disparity": {m: told_disparity(f, share, left_out) for m, f in flagged.items()},
        "rows": [hidden(row) if i in left_out else row for i, row in enumerate(rows)],
    }


def shown_alarm(alarm: Mapping[str, Any], *, exact: bool) -> dict[str, Any]:
    """Show an alarm; to readers without its figures."""
    if exact:
        return dict(alarm)
    message = shown_alarm_message(alarm["kind"], alarm["message"])
    kept = {k: v for k, v in alarm["details"].items() if k in ("days", "to")}
    return {**alarm, "message": message, "details": kept}


def shown_alarm_message(kind: str, message: str) -> str:
    """Say what an alarm is about without counts, which may be of few incidents."""
    return ALARM_MESSAGES.get(kind, message)


def shown_look(look: Mapping[str, Any], *, exact: bool) -> dict[str, Any]:
    """Show a look at a version; looks grow day by day, so readers learn its outcome alone."""
    if exact:
        return dict(look)
    return {**look, "p_value": None, "details": {}}


def shown_report(report: Mapping[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """Show a version's report; of default geocodes how many incidents, not where."""
    data = report.get("data", {})
    if exact or not data.get("default_geocodes"):
        return dict(report)
    piles = [{"n_incidents": pile["n_incidents"]} for pile in data["default_geocodes"]]
    return {**report, "data": {**data, "default_geocodes": piles}}


def _all_rounded(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    known = {name: values[name] for name in names if values.get(name) is not None}
    return {name: rounded(value) for name, value in known.items()}


def on_release(request: Mapping[str, Any]) -> bool:
    """Return whether a run was held to a release: all else is for who may list incidents."""
    return "release" in request


def released_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a result that readers may see, before it is rounded.

    Of one that was not held to a release none: two of them may differ by one incident.
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
    return {**shown, **_NOTHING, **released}


def too_small(counts: Sequence[int], minimum: int) -> set[int]:
    """Places of the counts to hide: those below the minimum, and more while the rest tells them.

    The counts sum to a total that is told: a single hidden one, or several that are few together,
    could be worked out from the others.
    """
    found = {i for i, count in enumerate(counts) if count < minimum}
    for i in sorted(range(len(counts)), key=lambda i: counts[i]):
        if not found or (len(found) > 1 and sum(counts[j] for j in found) >= minimum):
            break
        found.add(i)
    return found


def told_disparity(
    flagged_share: FloatArray, incident_share: FloatArray, left_out: set[int]
) -> dict[str, float]:
    """`disparity` of shares by part; parts that are left out count as one.

    Each by itself would tell its number: flagged shares and the sum of those hidden are known.
    """
    hidden_ones = sorted(left_out)
    both = [
        np.append(np.delete(share, hidden_ones), share[hidden_ones].sum())
        for share in (flagged_share, incident_share)
    ]
    return dict(disparity(*(both if left_out else (flagged_share, incident_share))))


def hidden(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what tells a small number of incidents."""
    told = ("incident", "ratio")
    return {k: None if k.startswith(told) else v for k, v in row.items()} | {"hidden": True}
