"""Machines as network namespaces on one bridge, with PostgreSQL in the middle.

Run inside a network namespace of its own (`unshare --net`), so that nothing is visible outside.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from app.core.devserver.cluster import locate

HUB = "10.213.0.1"
PASSWORD = "drill"


@dataclass
class Machine:
    """A network namespace with one hotslot process and a home of its own."""

    name: str
    address: str
    command: list[str]
    environment: dict[str, str]
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="hotslot-machine-")))
    process: subprocess.Popen[bytes] | None = None

    def connect_to_hub(self) -> None:
        """Make the namespace and its line to the bridge."""
        inside, outside = f"{self.name}i", f"{self.name}o"
        for command in (
            f"ip netns add {self.name}",
            f"ip link add {outside} type veth peer name {inside}",
            f"ip link set {inside} netns {self.name}",
            f"ip link set {outside} master hub up",
            f"ip -n {self.name} addr add {self.address}/24 dev {inside}",
            f"ip -n {self.name} link set {inside} up",
            f"ip -n {self.name} link set lo up",
        ):
            subprocess.run(command.split(), check=True)

    def start(self) -> None:
        """Start its process."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *self.command],
                env={**os.environ, **self.environment, "HOTSLOT_HOME": str(self.home)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Lose the machine: all its processes at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        """Kill and forget it."""
        self.kill()
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(self.home, ignore_errors=True)


class Hub:
    """The bridge and a PostgreSQL server on it that can be killed."""

    def __init__(self) -> None:
        for command in (
            "ip link set lo up",
            "ip link add hub type bridge",
            f"ip addr add {HUB}/24 dev hub",
            "ip link set hub up",
        ):
            subprocess.run(command.split(), check=True)
        self.home = Path(tempfile.mkdtemp(prefix="hotslot-hub-"))
        self.home.chmod(0o755)
        self.bin = locate(self.home).bin
        self.account = pwd.getpwnam("nobody")
        self.data = self.home / "data"
        self.data.mkdir(mode=0o700)
        os.chown(self.data, self.account.pw_uid, self.account.pw_gid)
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        make = f"{self.bin}/initdb -D {self.data} -U hotslot -A scram-sha-256 --pwfile={secret} -N -E UTF8"
        self._as_nobody(make.split()).wait()
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.0.0/24 scram-sha-256\n")
        self.server = self.start()
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE hotslot")

    def _as_nobody(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                user=self.account.pw_uid,
                group=self.account.pw_gid,
                extra_groups=[],
                stdout=log,
                stderr=log,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            )

    @staticmethod
    def url(database: str = "hotslot") -> str:
        """Where machines find the database."""
        return f"postgresql://hotslot:{PASSWORD}@{HUB}/{database}"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers."""
        options = f"-k {self.data} -c listen_addresses={HUB} -c max_connections=300"
        self.server = self._as_nobody(
            [f"{self.bin}/postgres", "-D", str(self.data), *options.split()]
        )
        for _ in range(300):
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
                if self.server.poll() is not None:  # children of a killed one hold its memory yet
                    self.server = self._as_nobody(self.server.args)  # type: ignore[arg-type]
            else:
                return self.server
        raise RuntimeError("PostgreSQL does not start")

    def kill(self) -> None:
        """SIGKILL to the server."""
        self.server.kill()
        self.server.wait()

    def remove(self) -> None:
        """Kill the server and remove what it kept."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def in_own_network(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the drills in a network namespace of its own.

    The names of its machines are its own as well: a drill that is killed leaves none to the next.
    """
    named = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'
    own = ["unshare", "--net", "--mount", "sh", "-c", named, "sh"]
    return subprocess.run(
        [*own, sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
