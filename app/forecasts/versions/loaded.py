"""A version with everything that a forecast of it needs, as trained or in a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from app.core.caching.once import once
from app.core.messages import Message
from app.forecasts.cells import SquareCells
from app.geo.grid import Grid
from app.geo.overlaps import CellIndex
from app.geo.study_area import StudyArea
from app.regions.store import Region
from app.registry import store as registry
from app.registry.erasure_marks import Epoch
from app.states.store import FROZEN, State
from models.bands import Band
from models.counts.model import CountModel


@dataclass(frozen=True)
class Ground:
    """A study area and its grid, shared by versions that were trained on the same ones."""

    grid: Grid
    area: StudyArea

    @once
    def cells(self) -> SquareCells:
        """The cells of the grid as shown in replies."""
        return SquareCells(self.grid)

    @once
    def index(self) -> CellIndex:
        """A spatial index of the cells, for areas of any shape."""
        return CellIndex(self.area, self.grid)


def _no_band() -> Band | None:
    return None


@dataclass(frozen=True)
class LoadedState:
    """A state with its count model."""

    record: State
    counts: CountModel


@dataclass(frozen=True)
class LoadedVersion:
    """A version with its ground and count model, ready to forecast."""

    region: Region
    record: registry.VersionRecord
    ground: Ground
    counts: CountModel
    read_band: Callable[[], Band | None] = _no_band
    stands_in: Message | None = None
    """Why it replaces the champion, if it does."""
    withheld: bool = False
    """Whether it is withheld from readers."""
    shown_categories: frozenset[str] = frozenset()
    """Categories that everyone could see when it was loaded."""
    epoch: Epoch | None = None
    """The region's when it was loaded."""
    state: LoadedState | None = None
    """What has arrived since its training; None: as trained."""

    def in_state(self, state: LoadedState | None) -> LoadedVersion:
        """Return the version brought up to date by a state, or as trained."""
        if state is None:
            return self
        return replace(self, state=state, counts=state.counts)

    @property
    def band(self) -> Band | None:
        """Error band of its probabilities, if it estimated one: of all parts the largest, cached apart."""
        return self.read_band()

    @property
    def full_name(self) -> str:
        """A unique name; regions with equal data have versions of the same name."""
        return f"{self.region.id}/{self.record.version}"

    @property
    def state_id(self) -> str:
        """The state's name in requests and replies."""
        return FROZEN if self.state is None else self.state.record.id

    @property
    def data_until(self) -> datetime:
        """End of the data that the forecast is based on."""
        return self.record.cutoff if self.state is None else self.state.record.data_until

    @property
    def grid(self) -> Grid:
        """The cells it was trained on."""
        return self.ground.grid

    @property
    def area(self) -> StudyArea:
        """The study area it was trained on."""
        return self.ground.area

    @property
    def cells(self) -> SquareCells:
        """The cells of the grid as shown in replies."""
        return self.ground.cells

    @property
    def index(self) -> CellIndex:
        """The spatial index of the cells."""
        return self.ground.index

    @property
    def reasons(self) -> list[Message]:
        """Return why this version replaces another one; empty if it does not."""
        return [] if self.stands_in is None else [self.stands_in]

    @once
    def category_codes(self) -> dict[str, int]:
        """Code of each category the version was trained on."""
        return {name: code for code, name in enumerate(self.record.categories)}

    @property
    def not_learnt(self) -> list[str]:
        """Categories that the region's learning policy excluded from training."""
        found: list[str] = self.record.report.get("data", {}).get("excluded_categories", [])
        return found
