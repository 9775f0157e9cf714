"""Threads that use one geometry at once: in a child process, since a crash would end pytest."""

import subprocess
import sys

import pytest
import shapely

from app.core.processes.native import PreparedCopies, prepared, shareable

CUT_AT_ONCE = """
import threading
import numpy as np, shapely
from app.geo.grid import build_grid
from app.geo.regrid import overlap_of
from app.geo.study_area import StudyArea
from app.geo.synthetic import synthetic_city

plain = synthetic_city().area
outline = shapely.segmentize(plain.polygon_m, 200.0)
sizes = [203.0, 251.0, 307.0, 401.0]
wrong = []

def alone(size_m):
    area = StudyArea(outline, plain.crs)
    coarse, fine = build_grid(area, 1000.0), build_grid(area, size_m)
    return fine.area_km2, overlap_of(area, coarse, fine).share

def renew():
    global shared
    shared = StudyArea(shapely.from_wkb(shapely.to_wkb(outline)), plain.crs)

expected = {size_m: alone(size_m) for size_m in sizes}
barrier = threading.Barrier(len(sizes), renew)

def cut(size_m):
    for _ in range(10):
        barrier.wait()
        coarse, fine = build_grid(shared, 1000.0), build_grid(shared, size_m)
        got = fine.area_km2, overlap_of(shared, coarse, fine).share
        shared.contains(*fine.centres_degrees)
        if not all(map(np.array_equal, got, expected[size_m])):
            wrong.append(size_m)

threads = [threading.Thread(target=cut, args=(s,)) for s in sizes]
[t.start() for t in threads]
[t.join() for t in threads]
assert not wrong, wrong
"""


@pytest.mark.slow
def test_threads_that_cut_one_study_area_at_once_neither_crash_nor_err():
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CUT_AT_ONCE],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_what_is_shared_stays_unprepared_and_copies_are_lent_to_one_at_a_time():
    shape = shareable(shapely.multipolygons([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)]))
    copies = PreparedCopies()
    with copies.of(shape) as first, copies.of(shape) as second:
        assert first is not second
        assert shapely.is_prepared([shape, first, second]).tolist() == [False, True, True]
        assert shapely.equals_exact(shape, first)
    with copies.of(shape) as again:
        assert again is second or again is first
    assert shapely.is_prepared(prepared([shape, None])).tolist() == [True, False]
