"""Information gain per incident of one forecast of rates over another, with the T-test and the W-test.

The gain is the sum of the log ratios of both rates at the incidents, less the difference of the expected
numbers, over the number of incidents (Rhoades et al. 2011, "Efficient testing of earthquake forecasting
models"). A forecast that promises more incidents everywhere pays for it. Student's T-test and Wilcoxon's
signed-rank test ask whether mean and median are zero; both take incidents as independent, which the
block bootstrap does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.evaluation.bootstrap import draw_blocks, interval, resampled_means
from models.evaluation.significance import N_RESAMPLES
from models.units import WEEK_S, FloatArray, IntArray


@dataclass(frozen=True)
class InformationGain:
    """Gain in nats per incident of n, with the 95 % interval and p value of a bootstrap of blocks.

    `t` is Student's statistic and `z` the normal one of the signed ranks, which is never positive; all p
    values are two-sided.
    """

    gain: float
    lo: float
    hi: float
    p: float
    t: float
    p_t: float
    z: float
    p_w: float
    n: int


@dataclass(frozen=True)
class RateRatio:
    """Two forecasts of rates where it matters.

    Args:
        log_ratio: (n,) log of the ratio of both rates at each incident; `time_s` (n,) of these.
        excess: (K,) expected number of each hour of the first less that of the second; `hour_s` (K,).
    """

    log_ratio: FloatArray
    time_s: IntArray
    excess: FloatArray
    hour_s: IntArray


def information_gain(ratio: RateRatio, seed: int = 0, block_s: int = WEEK_S) -> InformationGain:
    """Return the gain of the first forecast; without incidents it is zero."""
    n = len(ratio.log_ratio)
    if n == 0:
        return InformationGain(0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0)
    each = ratio.log_ratio - float(ratio.excess.sum()) / n
    lo, hi, p = _bootstrap(ratio, seed, block_s)
    return InformationGain(float(each.mean()), lo, hi, p, *_t_test(each), *_w_test(each), n)


def _bootstrap(ratio: RateRatio, seed: int, block_s: int) -> tuple[float, float, float]:
    """Return interval and p value from resampled blocks of time, each with its expected numbers."""
    time_s = np.concatenate([ratio.time_s, ratio.hour_s])
    _, block = np.unique((time_s - time_s.min()) // block_s, return_inverse=True)
    of_incident, of_hour = np.split(block, [len(ratio.time_s)])
    n_blocks = int(block.max()) + 1
    sums = np.bincount(of_incident, ratio.log_ratio, n_blocks)
    sums -= np.bincount(of_hour, ratio.excess, n_blocks)
    counts = np.bincount(of_incident, minlength=n_blocks).astype(np.float64)
    draw = draw_blocks(np.random.default_rng(seed), n_blocks, N_RESAMPLES)
    gains = resampled_means(sums, counts, draw)
    gains = gains[np.isfinite(gains)]
    tail = min(float((gains <= 0).mean()), float((gains >= 0).mean()))
    p = min(1.0, 2 * max(tail, 1 / N_RESAMPLES)) if n_blocks > 1 else 1.0
    return *interval(gains), p


def _t_test(each: FloatArray) -> tuple[float, float]:
    if len(each) < 2 or np.ptp(each) == 0:
        return 0.0, 1.0
    # Imported here because the API imports this module but never tests.
    from scipy.stats import ttest_1samp

    found = ttest_1samp(each, 0.0)
    return float(found.statistic), float(found.pvalue)


def _w_test(each: FloatArray) -> tuple[float, float]:
    if not each.any():
        return 0.0, 1.0
    from scipy.stats import wilcoxon

    # As in pyCSEP: gains of zero are left out, ties are corrected for, the distribution is normal.
    found = wilcoxon(each, zero_method="wilcox", correction=False, method="approx")
    return float(found.zstatistic), float(found.pvalue)  # type: ignore[attr-defined]  # not in the stubs
