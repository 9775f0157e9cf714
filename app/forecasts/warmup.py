"""Champions made ready before requests need them.

A version is checked and read when it is first used: most of a tenth of a second. So each process asks
every `LOOK_EVERY_S` who is champion in the regions that it serves or that changed last, and makes a
forecast by a new one in its own time. Requests still ask for the champion themselves; here they are
only spared the waiting.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from app.core.db.engine import translated
from app.core.errors import HotslotError
from app.core.roles import seeing_unreleased
from app.forecasts.serialisers import density_json
from app.forecasts.service import ForecastService
from app.forecasts.types import Selector
from app.registry.artifacts import ArtifactCorrupt
from app.registry.history import current_champions

LOOK_EVERY_S = 0.4
N_NEWEST = 5
"""Champions that every process makes ready, whether or not it has served their regions yet."""
_log = logging.getLogger("hotslot.forecast")


def make_ready(service: ForecastService, region_id: str, version: str) -> None:
    """Check and read a version, and whatever a first forecast by it takes.

    Raises:
        NotFound: no such region or version.
        ArtifactCorrupt: what is stored of it is not what was registered.
    """
    density_json(service.forecast(region_id, Selector(at=datetime.now(UTC), model=version)))


class Lookout:
    """Sees new champions; one per process, used by one thread at a time."""

    def __init__(self, service: ForecastService) -> None:
        self.service = service
        self.seen: dict[str, str] = {}
        """The champion of each region that was made ready, or was found to be damaged."""
        self._failing = False

    def look(self) -> None:
        """Make new champions ready.

        Raises:
            Unavailable: the database is away.
        """
        service = self.service
        served = service.brief.names("served")
        with translated(), service.engine.connect() as connection:
            current = current_champions(connection, served, N_NEWEST)
        new = {region: v for region, v in current.items() if self.seen.get(region) != v}
        self.seen = {region: v for region, v in self.seen.items() if region in current}
        for region_id, version in new.items():
            try:
                with translated(), seeing_unreleased(True):
                    make_ready(service, region_id, version)
            except ArtifactCorrupt as damage:  # requests go by its predecessor
                _log.error("%s", damage.message, extra={"region": region_id})
            self.seen[region_id] = version

    def look_if_possible(self) -> None:
        """The same; what fails is told once, and tried again at the next look."""
        try:
            self.look()
            self._failing = False
        except (HotslotError, SQLAlchemyError) as error:
            if not self._failing:
                _log.warning("champions not made ready yet", extra={"reason": str(error)})
            self._failing = True
