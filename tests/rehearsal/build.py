"""The stages of the Dockerfile, step by step."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.rehearsal.box import BASE_PATH, PYTHON_AT, Box
from tests.rehearsal.dockerfile import Stage

DOWNLOAD = re.compile(r"(/opt/\w+)/bin/pip install (?:--no-deps )?--require-hashes [^&;\n]*")
STAND_IN = r"echo /opt/packages > $(echo \1/lib/python3*/site-packages)/dependencies.pth "
"""Installed packages in place of the download, which has no network in here."""
BASE_ENVIRONMENT = {"PATH": BASE_PATH, "LD_LIBRARY_PATH": f"{PYTHON_AT}/lib"}
BUILD_TIMEOUT_S = 3600.0


def build_image(box: Box, context: Path, stages: list[Stage]) -> bool:
    """Carry out all stages; true when every step passed."""
    for stage in stages:
        where = f"build: {stage.name or 'image'}"
        if stage is stages[-1]:
            # The image has nothing of the build stage but what it copies.
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/src"], check=True)
        for word, rest in stage.steps:
            if not _step(box, context, stage, where, (word, rest)):
                return False
    return True


def _step(box: Box, context: Path, stage: Stage, where: str, step: tuple[str, str]) -> bool:
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
    environment = environment_of(stage) | {"TORCH": "cpu", "HOME": "/root"}
    command = DOWNLOAD.sub(STAND_IN, rest)
    return box.try_command(
        where, ["sh", "-c", command], environment, cwd=stage.workdir, timeout_s=BUILD_TIMEOUT_S
    )


def environment_of(stage: Stage) -> dict[str, str]:
    """What a container of the image has in its environment."""
    own = {name: text.replace("{PATH}", BASE_PATH) for name, text in stage.environment.items()}
    return {**BASE_ENVIRONMENT, **own}
