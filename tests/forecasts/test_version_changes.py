"""Versions change under way: ETags tell replies apart, and no reply mixes two versions."""

import itertools
import threading

import httpx
import numpy as np
import pytest

BASE = "/v1/regions/town"
AT = "at=2019-12-31T23:00"
CHAMPION, OTHER = "truth-20191225-44cb9228c0", "flat-20191225-b823adf7f3"
N_SWAPS = 40
PATHS = (
    f"/forecasts/density?{AT}",
    f"/forecasts/hotspots?{AT}&top=3",
    f"/forecasts/samples?{AT}&n=20&seed=1",
    "/forecasts/series?from=2019-12-30&to=2019-12-31&cells=true",
    f"/forecasts/density?{AT}&f=csv",
)
DIFFERENT = (
    f"density?{AT}",
    f"density?{AT}&f=geojson",
    f"density?{AT}&f=csv",
    f"density?{AT}&f=png",
    f"density?{AT}&cell_size_m=1000",
    f"density?{AT}&cell_size_m=1000.5",
    f"density?{AT}&grid=h3",
    f"density?{AT}&grid=h3&resolution=7",
    f"density?{AT}&bbox=-74.1,4.6,-74,4.7",
    f"density?{AT}&bbox=-74.1,4.6,-74,4.71",
    f"density?{AT}&model=flat",
    f"density?{AT}&as_of=2019-12-05",
    "density?at=2019-12-31T22:00",
    "density?from=2019-12-31T23:00&to=2020-01-01T01:00",
    f"hotspots?{AT}",
    f"hotspots?{AT}&top=6",
    f"hotspots?{AT}&n_cells=5",
    f"hotspots?{AT}&area_km2=5",
    f"hotspots?{AT}&dissolve=true",
    f"hotspots?{AT}&min_separation_m=1500",
    f"samples?{AT}&n=5&seed=1",
    f"samples?{AT}&n=5&seed=2",
    f"samples?{AT}&n=6&seed=1",
    f"series?{AT}",
    f"series?{AT}&cells=true",
)


def promote(client, version):
    reply = client.post(f"{BASE}/models/{version}/promote")
    assert reply.status_code == 200, reply.text


def comparable(reply):
    """All that a reply says but when it was made."""
    if "json" not in reply.headers["content-type"]:
        return reply.content
    return {name: value for name, value in reply.json().items() if name != "generated_at"}


@pytest.mark.slow
def test_different_requests_never_share_an_etag(served):
    category = f"density?{AT}&category={served.data.categories[1]}"
    paths = [f"{BASE}/forecasts/{path}" for path in (*DIFFERENT, category)]
    etags = [served.client.get(path).raise_for_status().headers["ETag"] for path in paths]
    assert len(set(etags)) == len(paths)
    for path, etag in zip(paths, itertools.islice(itertools.cycle(etags), 1, None), strict=False):
        assert served.client.get(path, headers={"If-None-Match": etag}).status_code == 200
    everything_else = ", ".join(etags[1:])
    again = served.client.get(paths[0], headers={"If-None-Match": everything_else})
    assert again.status_code == 200


@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
def test_a_304_has_no_body_and_the_headers_of_its_reply(served, form):
    path = f"{BASE}/forecasts/density?{AT}"
    full = served.client.get(path)
    given = form.format(full.headers["ETag"])
    short = served.client.get(path, headers={"If-None-Match": given})
    assert (short.status_code, short.content) == (304, b"")
    for name in ("ETag", "Cache-Control", "Vary", "X-Hotslot-Model-Version"):
        assert short.headers[name] == full.headers[name]
    assert "content-type" not in short.headers


def test_a_promotion_ends_what_clients_hold(served):
    path = f"{BASE}/forecasts/hotspots?{AT}"
    first = served.client.get(path)
    held = {"If-None-Match": first.headers["ETag"]}
    assert served.client.get(path, headers=held).status_code == 304
    promote(served.client, OTHER)
    try:
        second = served.client.get(path, headers=held)
        assert second.status_code == 200
        assert second.json()["model_version"] == OTHER
        assert second.headers["ETag"] != first.headers["ETag"]
        pinned = served.client.get(f"{path}&model={CHAMPION}", headers=held)
        assert pinned.status_code == 304
    finally:
        promote(served.client, CHAMPION)
    back = served.client.get(path)
    assert comparable(back) == comparable(first)


@pytest.mark.slow
def test_swaps_under_load_never_mix_versions(address):
    """Readers ask all the while; each reply is, whole, what its header's version says."""
    true_of, seen, mixed, stop = {}, set(), [], threading.Event()
    with httpx.Client(base_url=address, timeout=60) as client:
        for path in PATHS:
            for version in (CHAMPION, OTHER):
                reply = client.get(f"{BASE}{path}&model={version}").raise_for_status()
                true_of[path, version] = comparable(reply)
            first, second = (true_of[path, version] for version in (CHAMPION, OTHER))
            assert first != second, path

        def read(offset):
            with httpx.Client(base_url=address, timeout=60) as own:
                for path in itertools.cycle(PATHS[offset:] + PATHS[:offset]):
                    if stop.is_set():
                        return
                    reply = own.get(f"{BASE}{path}")
                    version = reply.headers.get("X-Hotslot-Model-Version")
                    seen.add((path, version))
                    if reply.status_code != 200 or comparable(reply) != true_of[path, version]:
                        mixed.append((path, version, reply.status_code))

        readers = [threading.Thread(target=read, args=[n]) for n in range(4)]
        for reader in readers:
            reader.start()
        try:
            for swap in range(N_SWAPS):
                promote(client, (OTHER, CHAMPION)[swap % 2])
        finally:
            stop.set()
            for reader in readers:
                reader.join()
    assert mixed == []
    assert {version for _, version in seen} == {CHAMPION, OTHER}


def test_areas_add_up(served):
    """Two halves of a quadrilateral, cut askew, hold together what the whole holds."""
    rng = np.random.default_rng(2)
    density = served.client.get(f"{BASE}/forecasts/density?{AT}").json()["cells"]
    longitude, latitude = np.array(density["longitude"]), np.array(density["latitude"])
    features = []
    for _ in range(30):
        # Some reach beyond the study area.
        west, cut_s, cut_n, east = np.sort(rng.uniform(longitude.min() - 0.01, longitude.max(), 4))
        south, north = np.sort(rng.uniform(latitude.min() - 0.01, latitude.max(), 2))
        if rng.random() < 0.5:
            cut_s, cut_n = cut_n, cut_s
        low, high = [cut_s, south], [cut_n, north]
        corners = [[west, south], low, [east, south], [east, north], high, [west, north]]
        left, right = [corners[0], low, high, corners[5]], [low, corners[2], corners[3], high]
        features += [
            {
                "type": "Feature",
                "properties": {},
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            }
            for ring in (left, right, corners)
        ]
    for span in ({"at": "2019-12-31T23:00"}, {"from": "2019-12-30", "to": "2019-12-31"}):
        body = {**span, "areas": {"type": "FeatureCollection", "features": features}}
        reply = served.client.post(f"{BASE}/forecasts/areas", json=body).raise_for_status().json()
        for name in ("expected_count", "probability", "area_km2"):
            values = np.array([f["properties"][name] for f in reply["features"]]).reshape(-1, 3)
            assert (values[:, 2] > 0).mean() > 0.5
            np.testing.assert_allclose(
                values[:, :2].sum(axis=1), values[:, 2], rtol=1e-9, atol=1e-12
            )
