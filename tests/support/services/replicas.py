"""A real streaming replica of an embedded server, whose replay can be paused."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from app.core.devserver.cluster import Cluster, locate, own, run

TIMEOUT_S = 60.0


@dataclass
class StreamingReplica:
    """A replica made by `pg_basebackup`, with a socket folder of its own beside the primary's."""

    primary: Cluster

    @property
    def data(self) -> Path:
        return self.primary.base / "replica"

    @property
    def socket_dir(self) -> Path:
        return self.primary.base / "run2"

    @property
    def url(self) -> str:
        here = quote(str(self.primary.socket_dir), safe="")
        return self.primary.url().replace(here, quote(str(self.socket_dir), safe=""))

    def start(self) -> None:
        options = (
            f"-c unix_socket_directories={self.socket_dir} -c max_standby_streaming_delay=100ms"
        )
        run(
            self.primary,
            "pg_ctl",
            *("start", "-D", self.data, "-l", self.primary.base / "replica.log", "-w", "-s"),
            *("-o", options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        run(self.primary, "pg_ctl", "stop", "-D", self.data, "-m", "immediate", "-w", check=False)

    def pause(self) -> None:
        """Stop replaying; the log still arrives."""
        self._execute("SELECT pg_wal_replay_pause()")
        self._wait("SELECT pg_get_wal_replay_pause_state() = 'paused'")

    def resume(self) -> None:
        """Replay again, and wait until everything that the primary has is replayed."""
        self._execute("SELECT pg_wal_replay_resume()")
        self.catch_up()

    def catch_up(self) -> None:
        """Wait until everything that the primary has is replayed."""
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            # What is flushed may end within a record, whose end only the next commit brings.
            place = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            connection.execute("SELECT pg_logical_emit_message(true, 'catch_up', '')")
        assert place
        self._wait(f"SELECT pg_last_wal_replay_lsn() >= '{place[0]}'")

    def _execute(self, statement: str) -> tuple[object, ...] | None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchone()

    def _wait(self, condition: str) -> None:
        ends_s = time.monotonic() + TIMEOUT_S
        while self._execute(condition) != (True,):
            assert time.monotonic() < ends_s, condition
            time.sleep(0.02)


def replicate(home: Path) -> StreamingReplica:
    """Make and start a replica of a home's running server."""
    replica = StreamingReplica(locate(home))
    own(replica.primary, replica.socket_dir)
    url = replica.primary.url()
    run(replica.primary, "pg_basebackup", "-D", replica.data, "-d", url, "-R", "-c", "fast")
    replica.start()
    return replica
