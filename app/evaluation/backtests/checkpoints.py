"""Files of finished backtest tasks, stored until the whole backtest is done."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import models
from app.core.private_files import private_folder
from app.core.settings import Settings
from app.evaluation.backtests.consistency.joint_tests import JointOutcome
from app.evaluation.backtests.plans import PlanShares
from app.geo.grid import Grid
from models.base import HORIZON_DAYS
from models.evaluation.metrics import ScoredIncidents
from models.evaluation.small_areas import SmallAreaHits
from models.evaluation.worth import AllHoursScores
from models.incidents import Incidents
from models.units import DAY_S, FloatArray

MAX_AGE_S = 30 * DAY_S
"""Age after which files of interrupted backtests are deleted."""
_ARRAYS = ("log_density", "mid_rank", "place", "pit_values", "hit_shares")
_STREETS = "streets_"
_SMALL_ARRAYS = ("period", "window", "area_km2", "past_hits")
_log = logging.getLogger("hotslot.backtest")


@dataclass(frozen=True)
class Protocol:
    """What to compare: models, origins (UTC seconds), horizon, seeds `seed`, `seed` + 1, ...

    `device` is the device of torch models. With `bounds_s` (ascending), a test period ends at the last
    of them within the horizon. With `refresh`, each model is also scored brought forward every day; data
    are then known `delay_days` late, and models are fitted to what was known at the origin.
    """

    models: tuple[str, ...]
    origins_s: tuple[int, ...]
    horizon_days: int = HORIZON_DAYS
    seed: int = 0
    n_seeds: int = 1
    device: str = "cpu"
    bounds_s: tuple[int, ...] = ()
    refresh: Literal["daily"] | None = None
    delay_days: int = 0

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of what is compared: the models and, after each, its daily form."""
        if self.refresh is None:
            return self.models
        return tuple(name for model in self.models for name in (model, daily_name(model)))

    def cutoff_of(self, origin_s: int) -> int:
        """Return the end of the data that were known at an origin."""
        return origin_s - self.delay_days * DAY_S

    def known(self, incidents: Incidents, origin_s: int) -> Incidents:
        """Return the incidents that were known at an origin."""
        return incidents.before(self.cutoff_of(origin_s)).known_at(origin_s)

    def end_of(self, origin_s: int) -> int:
        """Return the end of the test period of an origin."""
        end_s = origin_s + self.horizon_days * DAY_S
        return max((b for b in self.bounds_s if b <= end_s), default=end_s)

    def held_out(self, incidents: Incidents, origin_s: int) -> Incidents:
        """Return the incidents of the test period of an origin."""
        return incidents.between(origin_s, self.end_of(origin_s))


def daily_name(model: str) -> str:
    """Return the name of a model that is brought forward every day."""
    return f"{model} daily"


@dataclass(frozen=True, order=True)
class Task:
    """One fit of one model, or what is compared of it (`Protocol.compared`)."""

    model: str
    origin_s: int
    seed: int


@dataclass(frozen=True)
class TaskResult:
    """Scores of one fit on the horizon after its origin.

    `area_shares` is {percent: share of the area in the top-k% cells}; `flagged` (W, k) are the rows of
    the top 5 % of cells of each window, `listed` (k,) those of all hours, one list for the whole period.
    `small_areas`, `plan`, `all_hours`, `listed`, `joint` and `streets` (see `StreetTest.caught`) are None for
    a model brought forward every day; `streets` also where the region has none, `joint` for later seeds.
    """

    task: Task
    scored: ScoredIncidents
    area_shares: dict[int, float]
    flagged: NDArray[np.int32]
    seconds: float
    report: dict[str, Any] = field(default_factory=dict)
    small_areas: SmallAreaHits | None = None
    plan: PlanShares | None = None
    all_hours: AllHoursScores | None = None
    streets: Mapping[str, FloatArray] | None = None
    listed: NDArray[np.int32] | None = None
    joint: JointOutcome | None = None


@lru_cache(maxsize=1)
def models_digest() -> str:
    """Return the SHA-256 of the source of all models, so that results of other sources are not reused."""
    digest = hashlib.sha256()
    for folder in models.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


class TaskStore:
    """Stores results in files named by everything they depend on; without a folder, does nothing."""

    def __init__(
        self,
        folder: Path | None,
        incidents: Incidents,
        grid: Grid,
        protocol: Protocol,
        streets: str = "",
    ) -> None:
        self.folder = folder
        if folder is not None:
            private_folder(folder)
            _delete_old(folder)
            digest = hashlib.sha256(
                f"{protocol.horizon_days} {protocol.device} {models_digest()}".encode()
            )
            digest.update(repr(protocol.bounds_s).encode())
            digest.update(f"{protocol.refresh} {protocol.delay_days}".encode())
            digest.update(streets.encode())
            columns = (incidents.x_m, incidents.y_m, incidents.time_s, incidents.window)
            arrivals = () if incidents.arrived_s is None else (incidents.arrived_s,)
            times = incidents.intervals
            intervals = () if times is None else (times.end_s, times.overlap)
            grids = (grid.cell_id, grid.area_km2)
            for array in (*columns, incidents.category, *grids, *arrivals, *intervals):
                digest.update(np.ascontiguousarray(array).tobytes())
            self.key = digest.hexdigest()[:16]

    def _path(self, task: Task) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / f"{self.key}-{task.model}-{task.origin_s}-{task.seed}.npz"

    def load(self, task: Task) -> TaskResult | None:
        """Return the stored result of a task, or None; unreadable files are logged and ignored."""
        path = self._path(task)
        if path is None or not path.exists():
            return None
        try:
            return unpack_result(path.read_bytes(), task)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            _log.warning("unreadable result, fitting again", extra={"reason": str(error)})
            return None

    def save(self, result: TaskResult) -> None:
        """Store a result atomically."""
        path = self._path(result.task)
        if path is None:
            return
        partial = path.with_suffix(".partial.npz")
        partial.write_bytes(pack_result(result))
        partial.replace(path)

    def clear(self, tasks: list[Task]) -> None:
        """Delete the files of these tasks."""
        for task in tasks:
            path = self._path(task)
            if path is not None:
                path.unlink(missing_ok=True)


def tasks_folder(settings: Settings) -> Path:
    """Return the folder of finished tasks."""
    return settings.home / "backtests"


def delete_saved_tasks(settings: Settings, until_s: float | None = None) -> None:
    """Delete stored tasks last written until then (UTC seconds; None: all).

    They may contain the places of incidents that have been erased since; their fits are repeated.
    """
    for path in tasks_folder(settings).glob("*.npz"):
        with suppress(FileNotFoundError):
            if until_s is None or path.stat().st_mtime <= until_s:
                path.unlink()


def _delete_old(folder: Path) -> None:
    """Delete old files, such as those of cancelled backtests."""
    before = time.time() - MAX_AGE_S
    for path in folder.glob("*.npz"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()


def pack_result(result: TaskResult) -> bytes:
    """Return a result as an npz archive."""
    header = json.dumps(
        {
            "n_cells": result.scored.n_cells,
            "best_hits": result.scored.best_hits,
            "area_shares": result.area_shares,
            "seconds": result.seconds,
            "report": result.report,
            "joint": None if result.joint is None else asdict(result.joint),
        }
    )
    arrays = {name: getattr(result.scored, name) for name in _ARRAYS}
    if result.small_areas is not None:
        arrays.update(
            {f"small_{name}": np.asarray(v) for name, v in vars(result.small_areas).items()}
        )
    if result.plan is not None:
        arrays |= {"plan_rows": result.plan.rows, "plan_shares": result.plan.shares}
    if result.all_hours is not None:
        arrays |= {f"all_hours_{name}": v for name, v in vars(result.all_hours).items()}
    arrays |= {f"{_STREETS}{name}": found for name, found in (result.streets or {}).items()}
    if result.listed is not None:
        arrays["listed"] = result.listed
    file = io.BytesIO()
    np.savez(file, header=np.array(header), flagged=result.flagged, **arrays)
    return file.getvalue()


def unpack_result(content: bytes, task: Task) -> TaskResult:
    """Return the result of a task from `pack_result`.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: the archive is damaged.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        header = json.loads(str(stored["header"]))
        scored = ScoredIncidents(
            **{name: stored[name] for name in _ARRAYS},
            n_cells=header["n_cells"],
            best_hits={int(k): v for k, v in header["best_hits"].items()},
        )
        flagged = stored["flagged"]
        small = None
        if "small_past_n" in stored:
            found = {name: stored[f"small_{name}"] for name in _SMALL_ARRAYS}
            small = SmallAreaHits(**found, past_n=int(stored["small_past_n"]))
        plan = None
        if "plan_rows" in stored:
            plan = PlanShares(stored["plan_rows"], stored["plan_shares"])
        flat = None
        if "all_hours_hits" in stored:
            flat = AllHoursScores(stored["all_hours_log_density"], stored["all_hours_hits"])
        named = [name for name in stored if name.startswith(_STREETS)]
        streets = {name.removeprefix(_STREETS): stored[name] for name in named} or None
        listed = stored.get("listed")
    shares = {int(k): v for k, v in header["area_shares"].items()}
    return TaskResult(
        task,
        scored,
        shares,
        flagged,
        header["seconds"],
        header["report"],
        small,
        plan,
        flat,
        streets,
        listed,
        None if header["joint"] is None else JointOutcome.of(header["joint"]),
    )
