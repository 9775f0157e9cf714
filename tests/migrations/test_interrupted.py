"""D6 in short: a migration that is cut off leaves the old schema; newer schemas are respected."""

import os
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from sqlalchemy import inspect, text

from app.core.db.schema import migrate, schema_is_current
from app.core.errors import Conflict
from tests.support.databases.filled_database import filled
from tests.support.databases.old_schema import database_at

__all__ = ["filled"]


@pytest.fixture
def empty(server_url):
    with database_at(None, server_url) as made:
        yield made.engine, made.url


@pytest.mark.slow
def test_a_killed_migration_leaves_nothing_and_the_next_one_completes(empty):
    engine, url = empty
    code = (
        "import os, sys; from pydantic import SecretStr\n"
        "from alembic import op\nfrom app.core.settings import Settings\n"
        "from app.core.db.engine import open_engine\n"
        "from app.core.db.schema import migrate\n"
        "made = op.create_table; count = []\n"
        "def create(*a, **k):\n"
        "    count.append(1)\n"
        "    if len(count) == 4: os.kill(os.getpid(), 9)\n"
        "    return made(*a, **k)\n"
        "op.create_table = create\n"
        "migrate(open_engine(Settings(database_url=SecretStr(sys.argv[1]))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, url], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while inspect(engine).get_table_names() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert inspect(engine).get_table_names() == []
    migrate(engine)
    with engine.connect() as connection:
        assert schema_is_current(connection)


def test_an_older_version_serves_on_a_newer_schema_and_does_not_touch_it(empty):
    engine, _ = empty
    with engine.connect() as connection:
        assert not schema_is_current(connection)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
        assert schema_is_current(connection)
    with pytest.raises(Conflict, match="newer"):
        migrate(engine)


def test_an_upgrade_that_a_request_is_in_the_way_of_begins_anew(filled, caplog):
    """Each holds what the other one asks for, and PostgreSQL ends the one that has waited longer."""
    engine, url = filled.engine, filled.url
    upgrade = threading.Thread(target=migrate, args=(engine,))
    waits = (
        "SELECT EXISTS (SELECT FROM pg_locks"
        " WHERE NOT granted AND relation = 'worker_processes'::regclass)"
    )
    with psycopg.connect(url) as request, psycopg.connect(url, autocommit=True) as asking:
        request.execute("SELECT FROM worker_processes")
        upgrade.start()
        until = time.monotonic() + 60
        while not asking.execute(waits).fetchone()[0] and time.monotonic() < until:
            time.sleep(0.01)
        request.execute("SELECT FROM uploads")
    upgrade.join(60)
    assert "begins anew" in caplog.text
    with engine.connect() as connection:
        assert schema_is_current(connection)
