"""The parts of a Dockerfile, with its arguments filled in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


@dataclass
class Stage:
    """One FROM and what follows it.

    Args:
        name: after AS, or "".
        steps: (instruction, rest) of WORKDIR, RUN and COPY, in order.
        workdir: where commands run; build steps move it.
    """

    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: int = 0
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def filled(text: str, values: dict[str, str]) -> str:
    """`$NAME`, `${NAME}` and `${NAME:-default}` replaced."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1) or found.group(3)
        return values.get(name) or found.group(2) or ""

    return _VARIABLE.sub(value, text)


def read_dockerfile(path: Path, **build_arguments: str) -> list[Stage]:
    """The stages of a Dockerfile."""
    text = "\n".join(x for x in path.read_text().splitlines() if not x.startswith("#"))
    stages: list[Stage] = []
    arguments = dict(build_arguments)
    for line in re.sub(r"\\\n", "", text).splitlines():
        if line.strip():
            word, rest = line.split(maxsplit=1)
            if word == "FROM":
                stages.append(Stage(rest.partition(" AS ")[2]))
            elif word == "ARG":
                name, _, default = rest.partition("=")
                arguments.setdefault(name, filled(default, arguments))
            else:
                _add(stages[-1], word, rest, arguments)
    return stages


def _add(stage: Stage, word: str, rest: str, arguments: dict[str, str]) -> None:
    known = {**arguments, **stage.environment}
    if word == "ENV":
        stage.environment |= dict(part.split("=", 1) for part in _keeping_path(rest, known).split())
    elif word == "WORKDIR":
        stage.steps.append(("WORKDIR", rest))
    elif word == "USER":
        stage.user = int(rest)
    elif word == "CMD":
        stage.command = json.loads(rest)
    elif word == "HEALTHCHECK":
        stage.health = json.loads(rest.partition(" CMD ")[2])
    elif word in ("RUN", "COPY"):
        stage.steps.append((word, rest))
    elif word not in ("EXPOSE", "LABEL", "STOPSIGNAL"):
        raise ValueError(f"the rehearsal does not know {word}")


def _keeping_path(text: str, known: dict[str, str]) -> str:
    return filled(text.replace("$PATH", "{PATH}"), known)
