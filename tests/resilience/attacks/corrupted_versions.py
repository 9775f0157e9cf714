"""What is stored of a version is damaged in every way that we could think of: nothing of it is used."""

from __future__ import annotations

import random

from sqlalchemy import Connection, Engine

from app.core.errors import NotFound
from app.core.settings import Settings
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt
from app.registry.champions import promote
from tests.resilience.drill import Drill, repeats
from tests.support.databases.database import database
from tests.support.inputs.corruptions import (
    N_ROWS,
    ON_ARTIFACTS,
    ON_ROWS,
    Target,
    point_to,
    swap_grid,
)
from tests.support.simulated.city_rows import city_rows, region_of, train

REGION, ELSEWHERE = "poisoned", "elsewhere"


def _refused(connection: Connection, target: Target) -> bool:
    """Whether the champion may no longer be promoted."""
    try:
        version = registry.get_version(connection, target.key, target.version)
        registry.check_version(connection, version)
    except ArtifactCorrupt:
        return True
    return False


def _read_whole(connection: Connection, target: Target) -> bool:
    """Whether all hours of the champion could be read, as forecasts do."""
    try:
        registry.read_probabilities(
            connection, target.key, target.version, registry.ALL_CATEGORIES, range(N_ROWS)
        )
    except (ArtifactCorrupt, NotFound):
        return False
    return True


def accepted(engine: Engine, target: Target, n: int, seed: int = 3) -> list[str]:
    """Attacks that went through, of n; each is undone."""
    rng = random.Random(seed)
    attacks = (*ON_ARTIFACTS, *ON_ROWS)
    through = []
    for i in range(n):
        attack = attacks[i % len(attacks)]
        with engine.connect() as connection:
            attack(connection, target, rng)
            used = attack in ON_ROWS and _read_whole(connection, target)
            if used or not _refused(connection, target):
                through.append(attack.__name__)
            connection.rollback()
    return through


def _wrongly_served(engine: Engine, settings: Settings, target: Target) -> bool:
    """Whether other than the sound version before the damaged champion is served."""
    forecasts = ForecastService(engine, settings)
    for window in (0, 77):
        made = forecasts.forecast(REGION, Selector(window=window))
        sound = abs(made.probability.sum() - 1) < 1e-6
        if made.plan.version.record.version != target.other or not sound:
            return True
    return False


def served_instead(engine: Engine, settings: Settings, target: Target) -> list[str]:
    """Attacks after which other than a sound version was served; of rows, each stays until the next."""
    wrong = []
    with engine.begin() as connection:
        own = registry.get_version(connection, target.key, target.version).grid_sha256
        swap_grid(connection, target, random.Random(5))
    if _wrongly_served(engine, settings, target):
        wrong.append(swap_grid.__name__)
    with engine.begin() as connection:
        point_to(connection, target, grid_sha256=own)
    for attack in ON_ROWS:
        with engine.begin() as connection:
            for window in range(N_ROWS):
                attack(connection, target, _Always(window))
        if _wrongly_served(engine, settings, target):
            wrong.append(attack.__name__)
    return wrong


class _Always(random.Random):
    """Chooses one hour, and else the first of what there is."""

    def __init__(self, window: int) -> None:
        super().__init__(0)
        self._window = window

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """The hour where hours are asked for."""
        return self._window if (start, stop) == (N_ROWS, None) else super().randrange(start, stop)


def attacked(engine: Engine, settings: Settings) -> Target:
    """Two regions with versions of 168 hours; the second of the first region is champion."""
    made = {}
    for region, seed in ((REGION, 1), (ELSEWHERE, 2)):
        region_of(engine, settings, region, city_rows(1500, seed))
        for model in ("gmm", "window-kde"):
            made[region, model] = str(train(engine, settings, region, model).model_version)
    with engine.begin() as connection:
        key = get_region(connection, REGION).key
        foreign = get_region(connection, ELSEWHERE).key
        promote(connection, key, made[REGION, "window-kde"], "newer")
        sound = registry.get_version(connection, key)
    return Target(
        key,
        sound.version,
        sound.artifact_sha256,
        made[REGION, "gmm"],
        (foreign, made[ELSEWHERE, "window-kde"]),
    )


def poisoned() -> tuple[bool, str]:
    """R3: every kind of damage in turn; refused for promotion, never read, the version before serves."""
    n = repeats(2000)
    with database() as (engine, settings):
        target = attacked(engine, settings)
        through = accepted(engine, target, n)
        wrong = served_instead(engine, settings, target)
    kinds = len(ON_ARTIFACTS) + len(ON_ROWS)
    told = f"{n} poisoned in {kinds} ways, {len(through)} accepted {sorted(set(through))}"
    return not through and not wrong, f"{told}; the version before served, except {wrong}"


DRILLS = (Drill("R3", "stored versions corrupted", "0 accepted, old model serves", poisoned),)
