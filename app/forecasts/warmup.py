"""Warm-up of new champions before requests need them.

A version is checked and read when it is first used, which takes most of a tenth of a second. Each process
therefore looks up, every `CHECK_EVERY_S`, the champions of the regions that it serves or that changed
last, and computes a forecast with new ones. Requests still look up the champion themselves.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from app.core.db.engine import translate_errors
from app.core.errors import HotslotError
from app.core.roles import seeing_unreleased
from app.forecasts.plan import Selector
from app.forecasts.replies.serialisers import density_json
from app.forecasts.service import ForecastService
from app.registry.artifacts import ArtifactCorrupt
from app.registry.history import current_champions

CHECK_EVERY_S = 0.4
N_NEWEST = 5
"""Number of newest champions that every process warms up, even for regions it has not served yet."""
_log = logging.getLogger("hotslot.forecast")


def warm_up(service: ForecastService, region_id: str, version: str) -> None:
    """Check and read a version by computing a forecast with it.

    Raises:
        NotFound: the region or version does not exist.
        ArtifactCorrupt: the stored data differ from what was registered.
    """
    density_json(service.forecast(region_id, Selector(at=datetime.now(UTC), model=version)))


class ChampionWarmup:
    """Warms up new champions; one instance per process, used by one thread at a time."""

    def __init__(self, service: ForecastService) -> None:
        self.service = service
        self.seen: dict[str, str] = {}
        """The champion of each region that was warmed up or found to be damaged."""
        self._failing = False

    def warm_up_new(self) -> None:
        """Warm up new champions.

        Raises:
            Unavailable: the database cannot be reached.
        """
        service = self.service
        served = service.brief.names("served")
        with translate_errors(), service.engine.connect() as connection:
            current = current_champions(connection, served, N_NEWEST)
        new = {region: v for region, v in current.items() if self.seen.get(region) != v}
        self.seen = {region: v for region, v in self.seen.items() if region in current}
        for region_id, version in new.items():
            try:
                with translate_errors(), seeing_unreleased(True):
                    warm_up(service, region_id, version)
            except ArtifactCorrupt as damage:  # requests use its predecessor
                _log.error("%s", damage.message, extra={"region": region_id})
            self.seen[region_id] = version

    def warm_up_if_possible(self) -> None:
        """Warm up new champions; log failures once and retry at the next call."""
        try:
            self.warm_up_new()
            self._failing = False
        except (HotslotError, SQLAlchemyError) as error:
            if not self._failing:
                _log.warning("warming up champions failed", extra={"reason": str(error)})
            self._failing = True
