"""Hours of presence are counted again minute by minute, and rates by hand."""

import numpy as np
import pytest
import shapely

from app.geo.grid import build_grid
from app.geo.overlaps import CellIndex
from app.geo.study_area import shape_in_degrees
from app.presence import exposure as module
from app.presence.exposure import Exposure, Stay
from app.presence.rates import Recorded, presence_report
from tests.support.simulated.made_forecasts import CRS, SOUTH_M, WEST_M, square_area

START_S, N_SLOTS = 1_700_000_000 // 3600 * 3600, 30
AREA = square_area()
INDEX = CellIndex(AREA, build_grid(AREA, 500.0))
N = len(INDEX.grid)


def stay(box_m, start_h, end_h):
    west, south, east, north = box_m
    shape_m = shapely.box(WEST_M + west, SOUTH_M + south, WEST_M + east, SOUTH_M + north)
    wkb = shapely.to_wkb(shape_in_degrees(shape_m, CRS))
    return Stay(START_S + 3600 * start_h, START_S + 3600 * end_h, wkb)


STAYS = [
    stay((0, 0, 500, 500), 1.25, 3.5),
    stay((0, 0, 1000, 500), 2.0, 2.75),
    stay((250, 250, 1250, 750), -4.0, 1.5),
    stay((1500, 1000, 3000, 1500), 5.0, 40.0),
    stay((0, 0, 500, 500), 2.5, 3.0),
]


def brute(stays):
    """Unit hours (N, K) and coverage (N, K), minute by minute."""
    present, cover = np.zeros((N, N_SLOTS)), np.zeros((N, N_SLOTS))
    cells = INDEX._shapes_m
    shapes = {}
    for one in stays:
        degrees = shapely.from_wkb(one.shape)
        shapes[one.shape] = np.asarray(module.projected(np.array([degrees]), CRS))[0]
    for slot in range(N_SLOTS):
        by_shape = dict.fromkeys(shapes, 0)
        for minute in range(60):
            at = START_S + slot * 3600 + minute * 60 + 30
            for one in stays:
                by_shape[one.shape] += one.start_s <= at < one.end_s
        for wkb, minutes in by_shape.items():
            part = shapely.area(shapely.intersection(cells, shapes[wkb]))
            present[:, slot] += minutes / 60 * part / shapely.area(shapes[wkb])
            cover[:, slot] += min(minutes / 60, 1) * part / shapely.area(cells)
    return present, np.minimum(cover, 1)


def whole(exposure):
    present, cover = np.zeros((N, N_SLOTS)), np.zeros((N, N_SLOTS))
    for part in exposure:
        n = part.cover.shape[1]
        present[:, part.first : part.first + n] = part.present
        cover[:, part.first : part.first + n] = part.cover
    return present, cover


@pytest.mark.parametrize("values", [3_000_000, 7 * N])
def test_hours_are_those_of_a_count_by_minutes(monkeypatch, values):
    monkeypatch.setattr(module, "VALUES_AT_ONCE", values)
    exposure = Exposure(INDEX, STAYS, START_S, N_SLOTS)
    for found, wanted in zip(whole(exposure), brute(STAYS), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert exposure.hours == pytest.approx(2.25 + 0.75 + 1.5 + 25 + 0.5)


def test_nobody_anywhere_is_nothing():
    assert whole(Exposure(INDEX, [STAYS[0]], START_S + 360_000, N_SLOTS))[0].sum() == 0


def test_rates_are_those_of_single_cells_and_hours():
    rng = np.random.default_rng(3)
    area_km2 = INDEX.grid.area_km2
    expected = rng.gamma(1.0, size=(N, N_SLOTS))
    flagged = rng.random((N, N_SLOTS)) < 0.3
    cell, slot = rng.integers(0, N, 80), rng.integers(0, N_SLOTS, 80)
    recorded = {"all": Recorded(cell, slot, np.ones(80)), "none": Recorded(cell[:0], slot[:0], [])}
    recorded["none"] = Recorded(cell[:0], slot[:0], np.zeros(0))
    exposure = Exposure(INDEX, STAYS, START_S, N_SLOTS)
    report, hours = presence_report(
        exposure,
        area_km2,
        recorded,
        lambda first, n: flagged[:, first : first + n],
        lambda first, n: expected[:, first : first + n],
        expected.sum(axis=1),
    )
    present, cover = whole(exposure)
    np.testing.assert_allclose(hours, present.sum(axis=1))
    assert report["unit_hours_in_hotspots"] == pytest.approx(present[flagged].sum())
    visited = cover.any(axis=1)
    weight = {
        "present": cover,
        "absent": visited[:, None] * (1 - cover),
        "elsewhere": ~visited[:, None] * np.ones((1, N_SLOTS)),
    }
    scale = 80 / expected.sum()
    for where, share in weight.items():
        found = report["rates"]["all"][where]
        assert found["incidents"] == pytest.approx(share[cell, slot].sum())
        assert found["km2_hours"] == pytest.approx((share * area_km2[:, None]).sum())
        assert found["expected"] == pytest.approx((share * expected).sum() * scale)
        assert report["rates"]["none"][where]["incidents"] == 0
    one, other = (report["rates"]["all"][where]["per_expected"] for where in ("present", "absent"))
    told = report["rates"]["all"]
    assert told["ratio"] == pytest.approx(one / other)
    assert told["ratio_lo"] < told["ratio"] < told["ratio_hi"]
    assert report["rates"]["none"]["ratio"] is None
    assert "no proof" in report["warnings"][0]["message"]


def test_a_ratio_of_one_lies_in_its_interval_in_most_draws():
    rng = np.random.default_rng(5)
    expected = np.full((N, N_SLOTS), 0.5)
    held = 0
    for _ in range(100):
        counts = rng.poisson(expected)
        cell, slot = (np.repeat(part.ravel(), counts.ravel()) for part in np.indices(counts.shape))
        report, _ = presence_report(
            Exposure(INDEX, STAYS, START_S, N_SLOTS),
            INDEX.grid.area_km2,
            {"all": Recorded(cell, slot, np.ones(len(cell)))},
            lambda _first, n: np.zeros((N, n), bool),
            lambda first, n: expected[:, first : first + n],
            expected.sum(axis=1),
        )
        told = report["rates"]["all"]
        held += told["ratio_lo"] <= 1 <= told["ratio_hi"]
    assert 88 <= held <= 100
