"""Where a region's incidents are, as sorted codes: so that no sample is ever one of those places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from app.storage.database import long_statements

DECIMALS = 6
"""Of degrees, 0.1 m: the digits that samples are sent with."""
_SHIFT = 1 << 28
_CODES = text(
    """
    SELECT DISTINCT round((longitude + 180) * 1e6)::bigint * 268435456
                    + round((latitude + 90) * 1e6)::bigint AS code
    FROM incidents WHERE region_key = :region ORDER BY code
    """
)


def place_codes(longitude: NDArray[Any], latitude: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) one integer for each place of six decimals."""
    east = np.rint((longitude + 180) * 10**DECIMALS).astype(np.int64)
    north = np.rint((latitude + 90) * 10**DECIMALS).astype(np.int64)
    result: NDArray[np.int64] = east * _SHIFT + north
    return result


def taken_places(connection: Connection, region_key: int) -> NDArray[np.int64]:
    """(m,) sorted codes of the region's distinct places, of incidents of any source and time."""
    long_statements(connection)
    rows = connection.execution_options(yield_per=50_000).execute(_CODES, {"region": region_key})
    return np.fromiter((row.code for row in rows), np.int64)
