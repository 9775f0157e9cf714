"""Small files that unfold into much are refused within limits, away from the process that serves."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.core.errors import InvalidInput, LimitExceeded, Unavailable
from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.readers.blocks import ReadOptions
from app.readers.formats import EXCEL_TYPE, READERS
from app.readers.isolated import end_all
from app.readers.limits import ROWS_FLOOR
from app.regions.service import add_region
from tests.support.inputs import hostile_bodies as bodies
from tests.support.inputs.hostile_excel import row, workbook
from tests.support.services.processes import peak_memory_mb

pytestmark = pytest.mark.usefixtures("new_readers")
SCALE = 0.02
MEMORY_MB = 200.0
PATIENCE_S = 30.0
SENT = {
    "parquet: one long text",
    "parquet, padded: one long text",
    "parquet: equal rows",
    "parquet: one long text in each row",
    "parquet: a long list",
    "excel: row 20,000,000",
    "excel: wide dimension",
    "excel, padded: one text in every row",
    "geopackage: long view",
    "geopackage: generated column",
    "geopackage: catalogue of views",
    "geopackage: tree with cycles",
    "text, padded: rows of empty arrays",
    "text, padded: array of them",
    "text, padded: wide header",
    "text, padded: commas",
    "text, padded: names",
    "text, padded: breaks",
    "text, padded: equal rows",
    "zip, padded: overlapping members",
    "zip: many members",
    "zip: zip in zip",
}
REFUSED = {
    "parquet: one long text": (413, "too_large"),
    "parquet: equal rows": (413, "too_large"),
    "excel: row 20,000,000": (422, "damaged"),
    "geopackage: long view": (422, "damaged"),
    "geopackage: generated column": (422, "damaged"),
    "geopackage: catalogue of views": (422, "damaged"),
    "text, padded: equal rows": (413, "too_large"),
    "text, padded: breaks": (413, "too_large"),
    "text, padded: wide header": (422, "too_many_columns"),
    "text, padded: names": (422, "too_many_columns"),
    "zip, padded: overlapping members": (422, "archive"),
    "zip: many members": (422, "archive"),
}


@pytest.fixture(scope="module")
def hostile():
    return {b.name: b for b in bodies.hostile_bodies(SCALE) if b.name in SENT}


@pytest.fixture(scope="module")
def region(engine) -> str:
    return add_region(engine, "hostile", timezone="America/Bogota").id


@pytest.fixture(scope="module")
def client(engine, settings, region) -> Iterator[TestClient]:
    with TestClient(create_app(settings, engine), raise_server_exceptions=False) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SENT))
def test_what_unfolds_too_far_is_refused_and_costs_little(client, hostile, name):
    sent = hostile[name]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before_mb = peak_memory_mb(os.getpid())
    reply = client.post("/v1/regions/hostile/incidents", content=sent.body, headers=sent.headers)
    assert peak_memory_mb(os.getpid()) - before_mb < MEMORY_MB
    told = reply.json()
    if name in REFUSED:
        assert (reply.status_code, told["code"]) == REFUSED[name]
        assert told["type"].startswith("urn:hotslot:")
        assert len(told["detail"]) < 500
    else:
        assert reply.status_code == 200, reply.text
        assert told["accepted"] <= max(ROWS_FLOOR, len(sent.body) // 2)
    assert readers() == []


def readers() -> list[int]:
    """Processes that read an upload of this one's."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (path / "cmdline").read_bytes()
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"app.readers.child" in arguments and parent == os.getpid():
            found.append(int(path.name))
    return found


def until(condition) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A workbook of one row that takes a minute to read."""
    return bodies.with_noise(workbook(f"<row r='2'>{'<c><v>1</v></c>' * 6_000_000}</row>"))


@pytest.fixture
def patient(settings):
    """Limits under which `slow` would be read to its end."""
    return settings.model_copy(update={"parser_cpu_s": 300.0, "parser_memory_bytes": 8 << 30})


def send(engine, settings, body, kind, **more):
    return ingest(engine, "hostile", [body], UploadSource(kind), settings=settings, **more)


@pytest.mark.slow
def test_processor_time_is_bounded(engine, settings, region, slow):
    brief = settings.model_copy(update={"parser_cpu_s": 1.0, "parser_cpu_s_per_mib": 0.1})
    with pytest.raises(LimitExceeded, match="1 s of processor time") as caught:
        send(engine, brief, slow, EXCEL_TYPE)
    assert caught.value.code == "too_large"


@pytest.mark.slow
def test_memory_is_bounded(engine, settings, region, slow):
    small = settings.model_copy(update={"parser_memory_bytes": 64 << 20, "parser_cpu_s": 300.0})
    with pytest.raises(LimitExceeded, match="64 MiB of memory"):
        send(engine, small, slow, EXCEL_TYPE)


def test_a_reader_knows_nothing_and_ends_with_the_service(
    engine, settings, patient, region, slow, monkeypatch
):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    raised: list[BaseException] = []

    def work() -> None:
        try:
            send(engine, patient, slow, EXCEL_TYPE)
        except Unavailable as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert until(lambda: len(readers()) == 1)
    (process,) = readers()
    assert b"HOTSLOT" not in Path(f"/proc/{process}/environ").read_bytes()
    opened = [str(p.readlink()) for p in Path(f"/proc/{process}/fd").iterdir()]
    assert not [name for name in opened if name.startswith("socket:")]
    end_all()
    thread.join(PATIENCE_S)
    assert len(raised) == 1
    assert readers() == []


def test_a_reader_ends_when_the_client_goes(engine, patient, region, slow):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(patient, engine), port=port, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert until(lambda: server.started)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"http://127.0.0.1:{port}/v1/regions/hostile/incidents",
                content=slow,
                headers={"Content-Type": EXCEL_TYPE},
                timeout=httpx.Timeout(10.0, read=2.0),
            )
        assert until(lambda: readers() == [])
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


def test_a_reader_ends_when_its_parent_is_killed(slow, tmp_path):
    path = tmp_path / "slow.xlsx"
    path.write_bytes(slow)
    code = (
        "import sys; from app.readers.formats import *; "
        "from app.readers.blocks import ReadOptions; "
        "body = open(sys.argv[1], 'rb').read(); "
        "list(READERS[EXCEL_TYPE](iter([body]), ReadOptions(cpu_s=300, memory_bytes=8 << 30)))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        assert until(lambda: children.read_text().split() != [])
        child = Path(f"/proc/{children.read_text().split()[0]}")
        assert until(lambda: b"app.readers.child" in (child / "cmdline").read_bytes())
        time.sleep(1.0)  # the child has confined itself
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert until(lambda: not child.exists() or "Z" in (child / "stat").read_text().split())


def test_damage_that_ends_the_reader_is_a_refusal(monkeypatch):
    monkeypatch.setattr("app.readers.isolated.sys.executable", "/bin/false")
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(READERS[EXCEL_TYPE](iter([b"x"]), ReadOptions()))


@pytest.mark.slow
def test_honest_files_of_few_distinct_values_are_taken():
    n = ROWS_FLOOR + 30_000
    rng = np.random.default_rng(0)
    places = rng.random((200, 2)) * 0.05
    chosen = places[rng.integers(0, 200, n)]
    minutes = np.sort(rng.integers(0, 700 * 24 * 60, n))
    frame = pd.DataFrame(
        {
            "occurred_at": pd.Timestamp("2023-01-01") + pd.to_timedelta(minutes, unit="min"),
            "longitude": (-74.05 + chosen[:, 0]).round(5),
            "latitude": (4.65 + chosen[:, 1]).round(5),
            "category": rng.choice(["theft", "robbery"], n),
        }
    )
    out = io.BytesIO()
    frame.to_parquet(out, compression="zstd")
    body = out.getvalue()
    assert len(body) < 12 * n
    blocks = READERS[bodies.PARQUET](iter([body]), ReadOptions())
    assert sum(block.n_rows for block in blocks) == n


@pytest.mark.slow
def test_places_in_a_crs_without_a_code_are_read(tmp_path):
    own = "+proj=laea +lat_0=4.6 +lon_0=-74 +x_0=300 +ellps=GRS80 +units=m"
    frame = gpd.GeoDataFrame(
        {"occurred_at": ["2024-01-01T10:00:00Z"]},
        geometry=gpd.points_from_xy([-74.05], [4.65], crs="EPSG:4326").to_crs(own),
    )
    frame.to_file(tmp_path / "a.gpkg")
    frame.to_parquet(tmp_path / "a.parquet")
    for name, kind in (("a.gpkg", bodies.GEOPACKAGE), ("a.parquet", bodies.PARQUET)):
        body = (tmp_path / name).read_bytes()
        (block,) = READERS[kind](iter([body]), ReadOptions())
        assert block.plan.crs is None
        place = (block.columns["longitude"][0], block.columns["latitude"][0])
        assert place == pytest.approx((-74.05, 4.65), abs=1e-6)


@pytest.mark.slow
def test_a_sheet_with_gaps_is_read_as_before(engine, settings, region):
    body = workbook(row(2) + row(1_000_000) + "<row r='1048576'/>")
    told = send(engine, settings, body, EXCEL_TYPE)
    assert (told.received, told.rejected) == (2, 0)
