"""The stages of the Dockerfile, step by step."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks.rehearsal.box import BASE_PATH, PYTHON_AT, Box
from benchmarks.rehearsal.dockerfile import Stage

DEPENDENCIES = "pip install --require-hashes"
BASE_ENVIRONMENT = {"PATH": BASE_PATH, "LD_LIBRARY_PATH": f"{PYTHON_AT}/lib"}
BUILD_TIMEOUT_S = 3600.0


def build_image(box: Box, context: Path, stages: list[Stage], *, download: bool) -> bool:
    """Carry out all stages; true when every step passed."""
    for stage in stages:
        where = f"build: {stage.name or 'image'}"
        if stage is stages[-1]:
            # The image has nothing of the build stage but what it copies.
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/src"], check=True)
        for word, rest in stage.steps:
            if not _step(box, context, stage, where, (word, rest), download):
                return False
    return True


def _step(
    box: Box, context: Path, stage: Stage, where: str, step: tuple[str, str], download: bool
) -> bool:
    word, rest = step
    started = time.perf_counter()
    if word == "WORKDIR":
        Path(rest).mkdir(parents=True, exist_ok=True)
        stage.workdir = rest
        return True
    if word == "COPY" and rest.startswith("--from="):
        return box.note(where, f"COPY {rest}", Path(rest.split()[1]).is_dir(), started)
    if word == "COPY":
        box.copy(context, rest, stage.workdir)
        return box.note(where, f"COPY {rest}", True, started)
    if DEPENDENCIES in rest and not download:
        return _stand_in(box, where, rest)
    environment = environment_of(stage) | {"TORCH": "cpu", "HOME": "/root"}
    return box.try_command(
        where, ["sh", "-c", rest], environment, cwd=stage.workdir, timeout_s=BUILD_TIMEOUT_S
    )


def _stand_in(box: Box, where: str, rest: str) -> bool:
    """The environment by the very command; installed packages in place of the download."""
    make = rest.partition("&&")[0].strip()
    if not box.try_command(where, ["sh", "-c", make], BASE_ENVIRONMENT):
        return False
    started = time.perf_counter()
    site = next(Path("/opt/hotslot/lib").glob("python3*")) / "site-packages"
    (site / "dependencies.pth").write_text("/opt/packages\n")
    what = "dependencies: installed ones stand in for the download"
    return box.note(where, what, site.is_dir(), started)


def environment_of(stage: Stage) -> dict[str, str]:
    """What a container of the image has in its environment."""
    own = {name: text.replace("{PATH}", BASE_PATH) for name, text in stage.environment.items()}
    return {**BASE_ENVIRONMENT, **own}
