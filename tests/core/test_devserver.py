import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.core.db.tables import metadata
from app.core.devserver.cluster import HOME_FILE
from app.core.devserver.server import data_directory, ensure_running, release
from app.registry.artifacts import ArtifactCorrupt, pack, unpack
from tests.support.databases import lost_clusters


# SQLAlchemy knows no CHECK that is NOT VALID, and warns when it reads one.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Can't validate argument 'dialect_options'")
def test_schema_of_migrations_is_the_schema_of_the_tables(engine):
    def ours(_object, name, kind, _reflected, _compare_to):
        return not (
            kind == "table" and name.startswith(("procrastinate_", "alembic_", "incidents_p"))
        )

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, metadata) == []


@pytest.mark.slow
def test_acknowledged_rows_survive_kill_and_others_are_refused(tmp_path: Path):
    url = ensure_running(tmp_path)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        data = connection.execute("SHOW data_directory").fetchone()
    postmaster = int((Path(data[0]) / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    try:
        with psycopg.connect(ensure_running(tmp_path)) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
        wrong = ensure_running(tmp_path).replace("hotslot:", "hotslot:x", 1)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong, connect_timeout=5)
    finally:
        release(tmp_path)


@pytest.mark.slow
def test_a_killed_server_comes_back_by_itself(tmp_path: Path):
    url = ensure_running(tmp_path)
    try:
        postmaster = (data_directory(tmp_path) / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(postmaster), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                break
        again = (data_directory(tmp_path) / "postmaster.pid").read_text().splitlines()[0]
        assert again != postmaster
    finally:
        release(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_other_local_user_can_connect(tmp_path: Path):
    url = ensure_running(tmp_path)
    code = (
        "import os, sys, socket\n"
        "from urllib.parse import unquote\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "folder = unquote(sys.argv[1].split('host=')[1])\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try:\n    s.connect(folder + '/.s.PGSQL.5432')\n"
        "except PermissionError:\n    sys.exit(7)\n"
    )
    try:
        done = subprocess.run([sys.executable, "-c", code, url], check=False)
        assert done.returncode == 7
    finally:
        release(tmp_path)


@pytest.mark.slow
def test_two_processes_share_one_server_and_the_last_stops_it(tmp_path: Path):
    url = ensure_running(tmp_path)
    code = (
        "import sys; from pathlib import Path; from app.core.devserver.server import ensure_running\n"
        "print(ensure_running(Path(sys.argv[1])))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert other.stdout.strip() == url
    psycopg.connect(url).close()
    release(tmp_path)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)


def test_every_flipped_bit_of_an_artifact_is_refused():
    content, sha256 = pack({"model": "x"}, {"p": np.arange(6.0).reshape(2, 3)})
    header, tensors = unpack(content, sha256)
    assert header["model"] == "x"
    assert tensors["p"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 1
        with pytest.raises(ArtifactCorrupt):
            unpack(bytes(broken), sha256)
    with pytest.raises(ValueError, match="finite"):
        pack({}, {"p": np.array([np.nan])})


def test_clusters_of_lost_homes_are_removed_and_others_stay(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lost_clusters, "ROOT_CLUSTERS", tmp_path)
    home = tmp_path / "home-there"
    home.mkdir()
    for name, its_home in (
        ("there", home),
        ("lost", tmp_path / "gone"),
        ("runs", tmp_path / "gone"),
    ):
        data = tmp_path / name / "postgres" / "data"
        data.mkdir(parents=True)
        (tmp_path / name / HOME_FILE).write_text(str(its_home))
    (data / "postmaster.pid").write_text("1")
    lost_clusters.remove_lost_clusters()
    assert not (tmp_path / "lost").exists()
    assert (tmp_path / "there").exists()
    assert (tmp_path / "runs").exists()
    lost_clusters.remove_lost_clusters(tmp_path)
    assert not (tmp_path / "there").exists()


@pytest.mark.slow
def test_a_copied_home_has_a_server_of_its_own(tmp_path: Path):
    first, copied = tmp_path / "first", tmp_path / "copied"
    try:
        with psycopg.connect(ensure_running(first)) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        release(first)
        ensure_running(copied)
        release(copied)
        shutil.copy2(first / "postgres.password", copied / "postgres.password")
        shutil.rmtree(data_directory(copied))
        subprocess.run(["cp", "-a", data_directory(first), data_directory(copied)], check=True)
        with (
            psycopg.connect(ensure_running(copied)) as connection,
            psycopg.connect(ensure_running(first)) as other,
        ):
            connection.execute("INSERT INTO kept VALUES (1)")
            connection.commit()
            assert other.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    finally:
        release(first)
        release(copied)
