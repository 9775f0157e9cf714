"""The real cities of `../shared/data` as models see them, and the machine line of every report."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from app.geo.boundaries import study_area_from_geojson
from app.geo.grid import Grid, build_grid
from app.geo.hour_of_week import windows_of
from app.geo.study_area import StudyArea, to_metres
from models.incidents import Incidents
from models.units import DAY_S

DATA = Path(os.environ.get("HOTSLOT_SHARED", Path(__file__).parents[1] / ".." / "shared")) / "data"
FILES = {
    "st-louis": ("st_louis_2015_2019.csv.gz", "America/Chicago"),
    "toronto": ("toronto_mci.csv.gz", "America/Toronto"),
    "chicago": ("chicago_aggravated_assaults_2010_2019.csv.gz", "America/Chicago"),
    "vancouver": ("vancouver_2020.csv.gz", "America/Vancouver"),
}
EARLIEST = pd.Timestamp("2000-01-01")


@dataclass(frozen=True)
class City:
    """Incidents inside the study area, sorted by time, with the region's grid."""

    name: str
    timezone: str
    area: StudyArea
    grid: Grid
    incidents: Incidents
    categories: list[str]

    def origins(self, n: int, horizon_days: int = 28) -> list[int]:
        """UTC seconds of the last n origins: back-to-back test periods up to the last incident."""
        last = int(self.incidents.time_s[-1]) + 1
        return [last - (n - i) * horizon_days * DAY_S for i in range(n)]


def load_city(name: str, cell_size_m: float = 250.0) -> City:
    """One of `FILES`, or raise FileNotFoundError when `../shared/data` is not there.

    Rows are kept as they are, but for those before 2000 and outside the study area.
    """
    file, timezone = FILES[name]
    frame = pd.read_csv(DATA / file, parse_dates=["occurred_at"])
    frame = frame[frame["occurred_at"] >= EARLIEST]
    utc = frame["occurred_at"].dt.tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")
    frame["time_s"] = utc.dt.tz_convert("UTC").dt.as_unit("s").astype("int64")
    frame = frame.sort_values("time_s", kind="stable")
    area = study_area_from_geojson(
        json.loads((DATA / "boundaries" / f"{name}.geojson").read_text())
    )
    grid = build_grid(area, cell_size_m)
    x_m, y_m = to_metres(frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), area.crs)
    inside = grid.locate(x_m, y_m) >= 0
    time_s = frame["time_s"].to_numpy(np.int64)
    codes, names = pd.factorize(frame["category"], sort=True)
    incidents = Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        time_s,
        windows_of(time_s, timezone),
        codes.astype(np.int16),
    ).take(inside)
    return City(name, timezone, area, grid, incidents, [str(n) for n in names])


def machine() -> str:
    """One line that names what a figure was measured on."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {gpu}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}"
    )
