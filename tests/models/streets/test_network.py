"""Streets are split where they share vertices, and cut without losing a metre."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.geo.grid import build_grid
from app.geo.study_area import StudyArea
from models.streets.kernel import NetworkKernel, flows
from models.streets.network import bits_of, lixels_of, split_at_junctions
from tests.support.simulated.made_forecasts import CRS, SOUTH_M, WEST_M, square_area


def network_of(*lines):
    start = np.cumsum([0, *map(len, lines)])
    xy = np.concatenate([np.array(line, float) for line in lines])
    return split_at_junctions(xy + np.array([WEST_M, SOUTH_M]), start)


def test_lines_are_split_at_shared_vertices_and_nowhere_else():
    cross = network_of([(0, 0), (100, 0), (200, 0)], [(100, -50), (100, 0), (100, 50)])
    assert sorted(cross.length_m) == [50, 50, 100, 100]
    assert len(np.unique(cross.node)) == 5
    bridge = network_of([(0, 0), (200, 0)], [(100, -50), (100, 50)])
    assert sorted(bridge.length_m) == [100, 200]
    assert len(np.unique(bridge.node)) == 4
    tee = network_of([(0, 0), (100, 0), (200, 0)], [(100, 0), (100, 80)])
    assert sorted(tee.length_m) == [80, 100, 100]


def test_repeats_are_left_out():
    twice = network_of([(0, 0), (50, 0), (50, 0), (90, 0)], [(90, 0), (50, 0), (0, 0)])
    assert sorted(twice.length_m) == [40, 50]
    ring = network_of([(0, 0), (60, 0), (60, 60), (0, 0)])
    assert len(ring) == 1
    assert ring.node[0, 0] == ring.node[0, 1]


WALK = st.lists(st.tuples(st.integers(-300, 2300), st.integers(-300, 1800)), min_size=2, max_size=6)


@given(st.lists(WALK, min_size=1, max_size=5))
def test_bits_have_the_length_of_their_segments_and_lie_in_their_cells(lines):
    lines = [line for line in lines if len(set(line)) > 1]
    if not lines:
        return
    network = network_of(*lines)
    grid = build_grid(square_area(), 500.0)
    lixels = lixels_of(network)
    bits = bits_of(network, lixels, grid)
    np.testing.assert_allclose(np.bincount(bits.lixel, bits.length_m, len(lixels)), lixels.length_m)
    np.testing.assert_allclose(
        np.bincount(lixels.segment, lixels.length_m, len(network)), network.length_m
    )
    assert lixels.length_m.max() <= 50 + 1e-6
    nearly = bits.ends_m[:, :2] * 0.999 + bits.ends_m[:, 2:] * 0.001
    for share in (nearly, (bits.ends_m[:, :2] + bits.ends_m[:, 2:]) / 2):
        long = bits.length_m > 1e-3
        np.testing.assert_array_equal(grid.locate(share[long, 0], share[long, 1]), bits.cell[long])


def test_the_kernel_is_the_gaussian_on_a_line_and_splits_equally():
    line = network_of([(0, 0), (4000, 0)])
    lixels = lixels_of(line, 10.0)
    mass = np.zeros(len(lixels))
    mass[200] = 1.0
    (found,) = NetworkKernel(line, lixels).smoothed(mass, [200.0])
    away = (np.arange(len(lixels)) - 200) * 10.0
    exact = np.exp(-0.5 * (away / 200) ** 2) / (200 * np.sqrt(2 * np.pi)) * 10
    assert abs(found - exact).sum() < 0.06
    star = network_of(*[[(0, 0), (1000 * np.cos(a), 1000 * np.sin(a))] for a in (0, 2, 4)])
    lixels = lixels_of(star, 10.0)
    mass = np.zeros(len(lixels))
    mass[lixels.first[0] + 1] = 1.0
    (found,) = NetworkKernel(star, lixels).smoothed(mass, [100.0])
    arms = np.bincount(lixels.segment, found)
    assert abs(arms[1] - arms[2]) < 1e-6
    assert abs(found.sum() - 1) < 1e-12
    assert abs(flows(star, lixels).sum(axis=0)).max() < 1e-9


def test_mass_stays_in_its_connected_part():
    parts = network_of([(0, 0), (300, 0), (300, 300)], [(1000, 1000), (1400, 1000)])
    lixels = lixels_of(parts)
    mass = np.where(lixels.segment == 0, 3.0, 0.0)
    for found in NetworkKernel(parts, lixels).smoothed(mass, [50.0, 800.0]):
        assert found[lixels.segment == 1].sum() == 0
        assert abs(found.sum() - mass.sum()) < 1e-9
        assert found.min() >= 0


def test_an_area_elsewhere_has_no_bits_in_cells():
    far = StudyArea(square_area().polygon_m, CRS)
    network = network_of([(9000, 9000), (9500, 9100)])
    bits = bits_of(network, lixels_of(network), build_grid(far, 500.0))
    assert set(bits.cell) == {-1}
