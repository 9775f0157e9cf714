"""Read and change a region's learning policy."""

from __future__ import annotations

from sqlalchemy import Engine

from app.audit import store as audit
from app.regions.learning_policy import SETTINGS_PATH, LearningPolicy
from app.regions.store import get_region, remove_setting, set_setting


def policy_of(engine: Engine, region_id: str) -> LearningPolicy:
    """Return a region's policy.

    Raises:
        NotFound: no such region.
    """
    with engine.connect() as connection:
        return LearningPolicy.of(get_region(connection, region_id).settings)


def set_policy(engine: Engine, region_id: str, policy: LearningPolicy) -> LearningPolicy:
    """Store a region's policy; the next training follows it.

    Raises:
        NotFound: no such region.
        InvalidInput: a value is out of range.
    """
    policy.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        set_setting(connection, region.key, SETTINGS_PATH, policy.to_json())
        audit.record(connection, "learning_policy.changed", chain=region.id, **policy.to_json())
    return policy


def remove_policy(engine: Engine, region_id: str) -> None:
    """Reset a region's policy to the defaults.

    Raises:
        NotFound: no such region.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        remove_setting(connection, region.key, SETTINGS_PATH)
        audit.record(
            connection,
            "learning_policy.changed",
            chain=region.id,
            **LearningPolicy().to_json(),
        )
