"""What a reader of files unpacked does not stay on the disk, whoever was killed."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.readers.folders import NEW_FOR_S, NEW_PREFIX, PREFIX, parser_folder, sweep_parser_folders
from app.runs.schedules import database_clock
from app.worker.maintenance import maintain
from tests.support.inputs import hostile_bodies as bodies
from tests.support.inputs.hostile_excel import workbook

PATIENCE_S = 30.0
READ = """
import sys
from app.readers.formats import EXCEL_TYPE, READERS
from app.readers.blocks import ReadOptions
body = open(sys.argv[1], "rb").read()
list(READERS[EXCEL_TYPE](iter([body]), ReadOptions(cpu_s=300, memory_bytes=8 << 30)))
"""


def until(condition) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def reading(folder, tmp_path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that reads a workbook, and the process of its own that does."""
    path = tmp_path / "slow.xlsx"
    path.write_bytes(
        bodies.with_noise(workbook(f"<row r='2'>{'<c><v>1</v></c>' * 2_000_000}</row>"))
    )
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", READ, str(path)], env=environment) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        try:
            assert until(lambda: children.read_text().split() != [])
            child = int(children.read_text().split()[0])
            command = Path(f"/proc/{child}/cmdline")
            assert until(lambda: b"app.readers.child" in command.read_bytes())
            time.sleep(1.0)  # it has confined itself
            yield parent, child
        finally:
            parent.kill()


def left(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if "read-" in path.name]


def test_a_folder_is_private_while_it_is_used_and_gone_then(folder):
    def work():
        with parser_folder() as (made, _held):
            assert (made.parent, stat.S_IMODE(made.stat().st_mode)) == (folder, 0o700)
            (made / "inner").mkdir()
            sweep_parser_folders()
            assert left(folder) == [made], "its lock protects it"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert left(folder) == []


def test_only_folders_that_nobody_holds_are_swept(folder, tmp_path):
    old, young, dead = (folder / f"{p}" for p in (f"{NEW_PREFIX}a", f"{NEW_PREFIX}b", f"{PREFIX}c"))
    other, link, target = folder / "hotslot-other", folder / f"{PREFIX}link", tmp_path / "target"
    for made in (old, young, dead, other, target):
        made.mkdir()
        (made / "file").write_text("x")
    link.symlink_to(target)
    past = time.time() - NEW_FOR_S - 1
    os.utime(old, (past, past))
    sweep_parser_folders()
    assert set(folder.iterdir()) == {young, other, link}
    assert (target / "file").exists()


def test_a_killed_reader_leaves_nothing(folder, reading):
    parent, child = reading
    (made,) = left(folder)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    os.kill(child, signal.SIGKILL)
    parent.wait(PATIENCE_S)
    assert left(folder) == []


def test_what_a_killed_service_left_is_gone_when_the_next_one_starts(
    engine, settings, folder, reading
):
    parent, child = reading
    with TestClient(create_app(settings, engine)) as client:
        assert client.get("/healthz").status_code == 200
        time.sleep(0.5)
    assert len(left(folder)) == 1  # its owner lives
    parent.kill()
    parent.wait()
    assert until(lambda: not Path(f"/proc/{child}").exists())
    with TestClient(create_app(settings, engine)):
        assert until(lambda: left(folder) == [])


def test_upkeep_removes_it_too(engine, settings, folder, reading):
    parent, child = reading
    parent.kill()
    parent.wait()
    assert until(lambda: not Path(f"/proc/{child}").exists())
    other = folder / "hotslot-read-link"
    other.symlink_to(settings.home)
    with engine.connect() as connection:
        now = database_clock(connection)
    maintain(engine, settings, now)
    assert left(folder) == [other]
    assert settings.home.is_dir()
