"""Convert a file's raw places to the contract's columns: project coordinates.

Unreadable values stay as written, so that the row rules reject them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from app.core.errors import InvalidInput
from app.core.processes.native import transformer
from app.readers.columns.fields import FIELDS, TIMES
from app.readers.columns.numbers import plain_numbers
from app.readers.columns.plan import ColumnPlan

Raw = Mapping[str, Sequence[Any]]


def contract_columns(columns: Raw, plan: ColumnPlan) -> dict[str, Sequence[Any]]:
    """Return a block's columns but the times (`app.readers.times.time_reader`) under the contract's names.

    Args:
        columns: by field or part (`app.readers.columns.plan`).
    """
    result = {n: values for n, values in columns.items() if n in FIELDS and n not in TIMES}
    x, y = ("x", "y") if {"x", "y"} <= columns.keys() else ("longitude", "latitude")
    if plan.crs is not None and {x, y} <= columns.keys():
        result["longitude"], result["latitude"] = _degrees(columns[x], columns[y], plan.crs)
    else:
        for name, part in (("longitude", "x"), ("latitude", "y")):
            if name not in columns and part in columns:
                result[name] = plain_numbers(pd.Series(list(columns[part]), dtype=object)).tolist()
    return result


def _degrees(x: Sequence[Any], y: Sequence[Any], crs: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Project to longitude and latitude; values that are not numbers stay as written."""
    raw_x, raw_y = (plain_numbers(pd.Series(list(values), dtype=object)) for values in (x, y))
    x_m, y_m = (pd.to_numeric(v, errors="coerce").to_numpy(np.float64) for v in (raw_x, raw_y))
    # Many portals write "unknown" as 0/0, which must not become a distant place.
    known = np.isfinite(x_m) & np.isfinite(y_m) & ((x_m != 0) | (y_m != 0))
    try:
        longitude, latitude = transformer(crs, "EPSG:4326").transform(x_m, y_m)
    except ProjError as error:
        raise InvalidInput(
            "no transformation from this CRS to degrees is known", field="crs"
        ) from error
    return _placed(raw_x, longitude, known), _placed(raw_y, latitude, known)


def _placed(
    raw: pd.Series[Any], degrees: NDArray[np.float64], known: NDArray[np.bool_]
) -> Sequence[Any]:
    return raw.where(~known, pd.Series(degrees, dtype=object)).tolist()
