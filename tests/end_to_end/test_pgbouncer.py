"""External PostgreSQL behind PgBouncer: all works with session pooling, transaction pooling is refused."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import make_url, text

from app.core.db.engine import open_engine
from app.core.errors import InvalidInput
from app.main import create_app
from app.runs.store import get_run
from app.training.service import TrainingRequest, request_training
from app.worker.jobs import run_now
from app.worker.main import run_worker
from tests.support.simulated.town import add_town

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    PGBOUNCER is None, reason="PgBouncer IS NOT TESTED: the program pgbouncer is not installed"
)


@contextmanager
def pooled(settings, folder, mode, pool_size=20):
    """Settings whose database address leads through a PgBouncer of its own."""
    url = make_url(settings.database_url.get_secret_value())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.chmod(0o755)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{url.database} = host={url.query['host']} user={url.username} "
        f"password={url.password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = {pool_size}\n"
    )
    config.chmod(0o644)
    owner = Path(url.query["host"]).owner()
    process = subprocess.Popen(
        [PGBOUNCER, "-u", owner, str(config)], stderr=subprocess.DEVNULL, cwd="/"
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        through = f"postgresql://{url.username}:any@127.0.0.1:{port}/{url.database}"
        yield settings.model_copy(update={"database_url": SecretStr(through)})
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def outside(tmp_path_factory):
    """A folder that PgBouncer's user can reach."""
    folder = Path("/var/tmp") / tmp_path_factory.mktemp("bouncer").name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_everything_works_with_session_pooling(settings, engine, outside, town_csv):
    with pooled(settings, outside, "session") as through:
        opened = open_engine(through)
        with opened.connect() as connection:
            for name, expected in (
                ("statement_timeout", f"{settings.database_timeout_s:g}s"),
                ("TimeZone", "UTC"),
            ):
                assert connection.scalar(text(f"SHOW {name}")) == expected
        region = add_town(opened, through, town_csv)
        run = run_now(opened, through, region, TrainingRequest("uniform"), lambda *_: None)
        assert run.status == "succeeded", run.message
        with TestClient(create_app(through, opened)) as client:
            url = f"/v1/regions/{region}"
            for _ in range(8):  # psycopg prepares what it has seen five times
                assert client.get(f"{url}/forecasts/density?window=3").status_code == 200
                assert client.get(f"{url}/incidents?limit=5").status_code == 200
            assert client.get(f"{url}/data-report").status_code == 200
            csv = b"occurred_at,longitude,latitude\n2020-06-01T00:00:00Z,-74.06,4.66\n"
            sent = client.post(
                f"{url}/incidents", content=csv, headers={"content-type": "text/csv"}
            )
            assert sent.json()["accepted"] == 1, sent.text
        queued = request_training(
            opened, through, region, TrainingRequest("pooled-kde", validate=False)
        )
        run_worker(through, wait=False)
        with opened.connect() as connection:
            assert get_run(connection, "train", queued.id).status == "succeeded"
        opened.dispose()


def test_transaction_pooling_is_refused_with_what_to_do(settings, outside):
    with (
        pooled(settings, outside, "transaction") as through,
        pytest.raises(InvalidInput, match="pool_mode = session") as caught,
    ):
        open_engine(through)
    assert caught.value.field == "database_url"
