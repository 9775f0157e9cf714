"""A version's model card: data, evaluation, fairness, limits and prohibited uses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from app.evaluation.fairness.service import fairness_report
from app.incidents.releases import known_categories
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.erasure_marks import shown_marks
from app.registry.visibility import served
from app.releases.disclosure import shown_card, shown_validation
from app.states.service import last_state
from app.states.store import State

PURPOSE = (
    "Forecasts of how likely recorded incidents are, by cell (100 m or more) and hour of the week, to "
    "plan prevention, services and patrols, to study places, and to check such forecasts."
)
PROHIBITED = (
    "Predictions, scores or lists of persons: the model is about places and hours, not individuals.",
    "Grounds for a stop, a search, an arrest or a raid: a forecast is not a suspicion.",
    "Decisions based on the forecast alone, without a person who is accountable for them.",
    "Surveillance of a group, a protest, a place of worship, a union or a newsroom.",
    "Use where the law or the local authority forbids place-based prediction.",
)
LIMITS = (
    "It is trained on recorded incidents, not crime: unreported crime is not forecast.",
    "It describes where and when, not why, and says nothing about the effect of any measure.",
    "A cell with a high probability has no incident in most hours.",
    "It becomes outdated: each forecast states the age of its data.",
)
READ_ON = "docs/responsible-use.md"


def model_card(
    engine: Engine, region_id: str, selector: str | None = None, *, exact: bool = True
) -> dict[str, Any]:
    """Return the card of a version (None: the champion), JSON-ready.

    Args:
        engine: the database.
        region_id: the region.
        selector: a version or a model's name; None: the champion.
        exact: the caller may list incidents; others get a redacted card (`disclosure`).

    Raises:
        NotFound: the region or version does not exist.
        NotReady: the region has no version yet.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        version = registry.get_version(connection, region.key, selector)
        shown = known_categories(connection, region)
        current = served(connection, region.key)
        state = _state(last_state(connection, region, version))
        erased = shown_marks(connection, region.key, exact=exact).get(version.version, 0)
    report = fairness_report(engine, region_id, version.version, exact=exact)
    card = {
        "region": region.id,
        "model_version": version.version,
        "model": version.model,
        "champion": current == version.version,
        "purpose": PURPOSE,
        "prohibited_uses": list(PROHIBITED),
        "limits": list(LIMITS),
        "data": _data(version, erased),
        "state": state,
        "evaluation": _evaluation(version),
        "memorisation": version.report.get("memorisation", {}),
        "fairness": {
            "disparity": report["disparity"],
            "neighbourhoods": report["neighbourhoods"],
            "groups": report["groups"],
            "n_incidents": report["n_incidents"],
        },
        "provenance": version.provenance,
        "settings": version.settings,
        "seed": version.seed,
        "sealed_at": version.sealed_at.isoformat(),
        "artifact_sha256": version.artifact_sha256,
        "read_on": READ_ON,
    }
    return card if exact else shown_card(card, shown)


def _data(version: registry.VersionRecord, erased: int) -> dict[str, Any]:
    """Return what the version learnt from; `erased` of its incidents are erased since."""
    data = version.report.get("data", {})
    return {
        "n_incidents": version.n_incidents,
        "trained_until": version.cutoff.isoformat(),
        "data_hash": version.data_hash,
        "categories": version.categories,
        "excluded_categories": data.get("excluded_categories", []),
        "patrol_categories_learnt": data.get("patrol_categories", []),
        "discovered_weight": data.get("discovered_weight", 0.0),
        "outside_study_area": data.get("outside_study_area"),
        "default_geocodes": len(data.get("default_geocodes", [])),
        "small_counts": version.report.get("small_counts"),
        "erased_since": erased,
    }


def _state(found: State | None) -> dict[str, Any] | None:
    """Return what a card says of a state; None if the version serves as trained."""
    if found is None:
        return None
    return {
        "state": found.id,
        "data_until": found.data_until.isoformat(),
        "assimilated_incidents": found.n_incidents,
        "memory_days": found.density.memory_days.tolist(),
    }


def _evaluation(version: registry.VersionRecord) -> dict[str, Any] | None:
    """Return the scores of fits to earlier incidents on the 28 days before the data end."""
    scores = shown_validation(version.scores)
    if not scores.get("models"):
        return None
    wanted = ("n", "log_score", "cap_auc", "hit_rate", "pai")
    return {
        "models": {m: {k: s[k] for k in wanted} for m, s in scores["models"].items()},
        "differences": scores.get("differences", {}),
    }
