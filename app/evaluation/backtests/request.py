"""What a backtest compares: models, origins, and what was known when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import shortened
from app.core.zones import check_moment
from app.geo.grid import check_cell_size
from models.base import HORIZON_DAYS
from models.catalog import MODEL_NAMES

MAX_ORIGINS = 52
MAX_HORIZON_DAYS = 366
MAX_SEEDS = 20
MAX_DELAY_DAYS = 365
MAX_SEED = 2**53
MAX_FITS = 2_000
"""Maximum number of fits of a backtest: models x origins x seeds."""
DEFAULT_MODELS = tuple(m for m in MODEL_NAMES if m != "maf-paper")


@dataclass(frozen=True)
class BacktestRequest:
    """What to compare; by default the last `n_origins` back-to-back periods with incidents.

    Each model is fitted with `n_seeds` seeds from `seed` on, to measure the effect of random numbers;
    scores and differences are those of the first.
    """

    models: tuple[str, ...] = DEFAULT_MODELS
    origins: tuple[datetime, ...] | None = None
    n_origins: int = 4
    horizon_days: int = HORIZON_DAYS
    cell_size_m: float | None = None
    seed: int = 0
    n_seeds: int = 1
    refresh: Literal["daily"] | None = None
    """Also score each model brought forward every day by what was known at its start."""
    delay_days: int = 0
    """How late incidents are known, with `refresh`."""
    as_known: bool = False
    """Know at each moment only what had arrived by then."""
    release: int | None = None
    """The release to test on, for callers who may not list incidents; None: all incidents."""

    def checked(self) -> BacktestRequest:
        """Validate the request and return it.

        Raises:
            InvalidInput: a model is unknown, an origin is naive, or a number is out of range.
            LimitExceeded: too many fits.
        """
        for model in self.models:
            if model not in MODEL_NAMES:
                raise InvalidInput(
                    f"unknown model {shortened(model)}; choose from {', '.join(MODEL_NAMES)}",
                    field="models",
                )
        if not self.models or len(set(self.models)) < len(self.models):
            raise InvalidInput("models must contain at least one name, each once", field="models")
        if not 1 <= self.n_origins <= MAX_ORIGINS:
            raise InvalidInput(
                f"n_origins must lie within 1..{MAX_ORIGINS}, got {self.n_origins}",
                field="n_origins",
            )
        if not 1 <= self.horizon_days <= MAX_HORIZON_DAYS:
            raise InvalidInput(
                f"horizon_days must lie within 1..{MAX_HORIZON_DAYS}, got {self.horizon_days}",
                field="horizon_days",
            )
        if not 1 <= self.n_seeds <= MAX_SEEDS:
            raise InvalidInput(
                f"n_seeds must lie within 1..{MAX_SEEDS}, got {self.n_seeds}", field="n_seeds"
            )
        if not 0 <= self.seed < MAX_SEED:
            raise InvalidInput(f"seed must lie within 0..2^53-1, got {self.seed}", field="seed")
        self._check_refresh()
        if self.cell_size_m is not None:
            check_cell_size(self.cell_size_m)
        self._check_origins()
        self._check_fits()
        return self

    def _check_refresh(self) -> None:
        if self.refresh not in (None, "daily"):
            raise InvalidInput(
                f"refresh must be daily, got {shortened(str(self.refresh))}", field="refresh"
            )
        if not 0 <= self.delay_days <= MAX_DELAY_DAYS:
            raise InvalidInput(
                f"delay_days must lie within 0..{MAX_DELAY_DAYS}, got {self.delay_days}",
                field="delay_days",
            )
        if self.as_known and self.delay_days:
            raise InvalidInput(
                "give as_known or delay_days, not both: arrivals say how late incidents were",
                field="delay_days",
            )
        if self.delay_days and self.refresh is None:
            raise InvalidInput("delay_days needs refresh", field="delay_days")

    def _check_fits(self) -> None:
        n_origins = self.n_origins if self.origins is None else len(self.origins)
        n_fits = len(self.models) * n_origins * self.n_seeds
        if n_fits > MAX_FITS:
            raise LimitExceeded(
                f"{len(self.models)} models x {n_origins} origins x {self.n_seeds} seeds are {n_fits} "
                f"fits, the limit is {MAX_FITS}: request fewer, or several backtests",
                field="models",
                limit=MAX_FITS,
                asked=n_fits,
            )

    def _check_origins(self) -> None:
        if self.origins is not None:
            if not 1 <= len(self.origins) <= MAX_ORIGINS:
                raise InvalidInput(
                    f"origins must contain 1..{MAX_ORIGINS} times, got {len(self.origins)}",
                    field="origins",
                )
            for origin in self.origins:
                check_moment(origin, "origins")

    def to_json(self) -> dict[str, Any]:
        """Return the request as stored in the run's row."""
        origins = None if self.origins is None else [o.isoformat() for o in self.origins]
        given = {**asdict(self), "models": list(self.models), "origins": origins}
        for name in ("release", "refresh"):
            if given[name] is None:
                del given[name]
        return given

    def audited(self) -> dict[str, Any]:
        """Return the details for the audit log, with the number of origins instead of the origins."""
        n_origins = None if self.origins is None else len(self.origins)
        return {**asdict(self), "models": list(self.models), "origins": n_origins}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BacktestRequest:
        """Create a request from the output of `to_json`."""
        origins = value.get("origins")
        given = None if origins is None else tuple(datetime.fromisoformat(o) for o in origins)
        return cls(**{**value, "models": tuple(value["models"]), "origins": given})
