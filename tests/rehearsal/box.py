"""A clean place to act a container out in: mount and network namespaces of our own, as root.

Absolute paths of the Dockerfile (/src, /opt/hotslot, /var/lib/hotslot, /run/secrets) are the clean
place's; /etc is covered, so that users and host names can be added; the network has loopback only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
COVERED = ("/src", "/opt", "/var/lib", "/run", "/tmp")
PYTHON_AT = "/opt/base"
BASE_PATH = f"{PYTHON_AT}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin"


@dataclass
class Step:
    """One thing that was tried."""

    where: str
    what: str
    passed: bool
    seconds: float
    said: str = ""


@dataclass
class Box:
    """The clean place and the protocol of what was tried in it.

    Args:
        root: an empty folder for what is written.
        dependencies: folder of installed packages that stands in for the layer of dependencies.
    """

    root: Path
    dependencies: Path
    postgres: Path
    steps: list[Step] = field(default_factory=list)
    running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def enter(self) -> None:
        """Leave the machine's mounts and network for our own."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "namespaces are not allowed here (needs root)")
        run = subprocess.run
        run(["mount", "--make-rprivate", "/"], check=True)
        run(["mount", "-t", "tmpfs", "tmpfs", str(self.root)], check=True)
        base = self._bound(Path(sys.base_prefix), "python")
        packages = self._bound(self.dependencies, "packages")
        postgres = self._bound(self.postgres, "postgres")
        layers = [self.root / name for name in ("etc", "etc-work")]
        for layer in layers:
            layer.mkdir()
        options = f"lowerdir=/etc,upperdir={layers[0]},workdir={layers[1]}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, "/etc"], check=True)
        for path in COVERED:
            Path(path).mkdir(exist_ok=True)
        kept = {PYTHON_AT: base, "/opt/packages": packages, "/opt/postgres": postgres}
        inside = self.root / "opt"
        for target, source in kept.items():
            (inside / Path(target).name).mkdir(parents=True)
            run(["mount", "--bind", str(source), str(inside / Path(target).name)], check=True)
        for path in COVERED:
            source = self.root / path.strip("/")
            source.mkdir(parents=True, exist_ok=True)
            source.chmod(0o1777 if path == "/tmp" else 0o755)
            run(["mount", "--rbind", str(source), path], check=True)
        run(["ip", "link", "set", "lo", "up"], check=True)

    def _bound(self, source: Path, name: str) -> Path:
        target = self.root / f"kept-{name}"
        target.mkdir()
        subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
        return target

    def note(self, where: str, what: str, passed: bool, started: float, said: str = "") -> bool:
        """Add to the protocol."""
        self.steps.append(Step(where, what, passed, time.perf_counter() - started, said))
        return passed

    def try_command(
        self,
        where: str,
        command: list[str],
        environment: Mapping[str, str],
        *,
        user: int = 0,
        cwd: str = "/",
        timeout_s: float = 300.0,
    ) -> bool:
        """Run a command to its end and note how it went."""
        started = time.perf_counter()
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=cwd,
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()[-400:]
        return self.note(where, " ".join(command), done.returncode == 0, started, said)

    def start(
        self, where: str, command: list[str], environment: Mapping[str, str], user: int, cwd: str
    ) -> None:
        """Start a long-running command; `stop_all` ends it."""
        with Path(f"/tmp/{where}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd,
                user=user,
                group=user,
                extra_groups=[],
                stdout=log,
                stderr=log,
            )
        self.running.append((where, process))

    def stop_all(self, grace_s: float) -> None:
        """SIGTERM to what runs, last started first; each must end in time."""
        for where, process in reversed(self.running):
            started = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(grace_s)
                passed = True
            except subprocess.TimeoutExpired:
                process.kill()
                passed = False
            self.note(where, f"SIGTERM, gone within {grace_s:.0f} s", passed, started)
        self.running.clear()

    def log_of(self, where: str) -> str:
        """The end of what a started command said."""
        return Path(f"/tmp/{where}.log").read_text(errors="replace")[-400:]

    def copy(self, context: Path, rest: str, workdir: str) -> None:
        """COPY of the Dockerfile: from the build context, honouring what it leaves out."""
        *sources, target = rest.split()
        into = Path(workdir, target)
        for source in sources:
            if (context / source).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(context / source, into, ignore=ignore, dirs_exist_ok=True)
            elif target.endswith("/"):
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(context / source, into)


def require_root() -> None:
    """Exit with a line when namespaces cannot be made."""
    if os.geteuid() != 0 or sys.platform != "linux":
        sys.exit("the rehearsal needs root on Linux: it makes mount and network namespaces")
