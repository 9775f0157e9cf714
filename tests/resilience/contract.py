"""The promise of the API held against a running service: versions swapped, requests made up."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.resilience.attacks.abuse import trained
from tests.resilience.drill import Drill, repeats
from tests.support.services.service import Service, service

ROOT = Path(__file__).resolve().parents[2]
REGION = "/v1/regions/drill"
READERS = 8
PATHS = (
    "/forecasts/density?at=2024-02-02T23:00",
    "/forecasts/hotspots?at=2024-02-02T23:00&top=3",
    "/forecasts/hotspots?at=2024-02-02T23:00&top=10&dissolve=true",
    "/forecasts/series?from=2024-02-02&to=2024-02-03&cells=true",
    "/forecasts/density?at=2024-02-02T23:00&f=csv",
)
FULL_REPEATS = 50
CASES = 10_000
CASES_OF_AN_EXAMPLE = 500
"""What one more example a call makes all phases generate, about."""
SCHEMATHESIS_S = 7200
NO_KEYS = """
# The first key ends open access, after which every answer would be 401.
[[operations]]
include-name = "POST /v1/keys"
enabled = false
"""


def _content(reply: httpx.Response) -> Any:
    """All that a reply says but when it was made."""
    if "json" not in reply.headers["content-type"]:
        return reply.content
    return {name: value for name, value in reply.json().items() if name != "generated_at"}


def swapped_under_load() -> tuple[bool, str]:
    """R1: the champion changes all the while; each reply is, whole, what its header's version says."""
    n_swaps = 4 * repeats(FULL_REPEATS)
    counted: Counter[str] = Counter()
    stop = threading.Event()
    with service(workers=0) as target:
        versions = [trained(target, model) for model in ("pooled-kde", "uniform")]
        true_of = {
            (path, version): _content(
                target.call("GET", f"{REGION}{path}&model={version}").raise_for_status()
            )
            for path in PATHS
            for version in versions
        }

        def read(offset: int) -> None:
            with httpx.Client(base_url=target.client.base_url, timeout=60.0) as own:
                for path in itertools.cycle(PATHS[offset:] + PATHS[:offset]):
                    if stop.is_set():
                        return
                    reply = own.get(f"{REGION}{path}")
                    version = reply.headers.get("X-Hotslot-Model-Version", "")
                    is_whole = reply.status_code == 200 and (
                        _content(reply) == true_of.get((path, version))
                    )
                    counted[version if is_whole else "mixed"] += 1

        readers = [threading.Thread(target=read, args=[n % len(PATHS)]) for n in range(READERS)]
        for reader in readers:
            reader.start()
        try:
            for swap in range(n_swaps):
                path = f"{REGION}/models/{versions[swap % 2]}/promote"
                target.call("POST", path).raise_for_status()
        finally:
            stop.set()
            for reader in readers:
                reader.join()
    mixed = counted.pop("mixed", 0)
    replies = ", ".join(f"{n} of {version}" for version, n in sorted(counted.items()))
    return mixed == 0 and len(counted) == 2, f"{n_swaps} swaps, {mixed} mixed; replies: {replies}"


def made_up_requests() -> tuple[bool, str]:
    """A4: schemathesis, all checks and phases, on a trained region, round after round."""
    wanted = CASES * repeats(FULL_REPEATS) // FULL_REPEATS
    examples = max(1, wanted // CASES_OF_AN_EXAMPLE + 1)
    cases = rounds = 0
    with service(workers=0, HOTSLOT_TRAINING_THREADS="1") as target:
        trained(target, "pooled-kde")
        while cases < wanted:
            rounds += 1
            done = _schemathesis(target, examples, rounds)
            found = re.search(r"(\d+) generated", done.stdout)
            if done.returncode != 0 or found is None:
                failures = done.stdout.partition("= FAILURES =")[2].partition("= WARNINGS =")[0]
                return False, f"after {cases} cases, seed {rounds}: {failures.strip(' =')[:2000]}"
            cases += int(found[1])
        healthy = target.answers("/readyz")
    return healthy, f"{cases} cases in {rounds} rounds, 0 failures, healthy after: {healthy}"


def _schemathesis(target: Service, examples: int, seed: int) -> subprocess.CompletedProcess[str]:
    config = target.home / "schemathesis.toml"
    rules = (ROOT / "schemathesis.toml").read_text()
    config.write_text(f'[parameters]\n"path.region" = "drill"\n\n{rules}\n{NO_KEYS}')
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    options = ["--max-examples", str(examples), "--seed", str(seed), "--request-timeout", "60"]
    return subprocess.run(
        [*command, f"{target.client.base_url}/openapi.json", *options, "--no-color"],
        capture_output=True,
        text=True,
        cwd=target.home,
        timeout=SCHEMATHESIS_S,
        check=False,
    )


DRILLS = (
    Drill("R1", "champion swapped under load", "0 mixed in 200 swaps", swapped_under_load),
    Drill("A4", "schemathesis, all checks, stateful", "0 failures in 10,000", made_up_requests),
)
