"""A region's learning policy with what it means for each category."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from app.incidents.releases import known_categories
from app.regions.category_store import categories_of
from app.regions.learning_policy import LearningPolicy
from app.regions.store import get_region
from app.releases.small_counts import fold_names


def policy_view(engine: Engine, region_id: str, *, exact: bool) -> dict[str, Any]:
    """Return the policy and the rule for each category.

    Without `exact`, places are hidden and rare categories are not named.

    Raises:
        NotFound: no such region.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        names = set(categories_of(connection, region.key).values())
        shown = names if exact else names & known_categories(connection, region)
    policy = LearningPolicy.of(region.settings)
    found = policy.to_json()
    if not exact:
        found |= {"keep_places": None, "drop_places": None}
        for name in ("include_categories", "exclude_categories"):
            found[name] = fold_names(found[name], shown)
    return {**found, "categories": [vars(policy.category_rule(name)) for name in sorted(shown)]}
