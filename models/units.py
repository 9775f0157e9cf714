"""Types of arrays, and lengths of time, that all models share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

N_WINDOWS = 168
"""Hours of the local week; window 0 starts on Monday at midnight."""
HOURS_PER_DAY = 24
SATURDAY = 5
HOUR_S = 3_600
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
