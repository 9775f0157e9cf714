"""Several API processes on one address: what one of them learns, the others know within a second."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter

import httpx
import pytest

from app.access.service import NewKey, create_key, revoke_key

N_PROCESSES = 2


@pytest.fixture
def served(engine, settings, town, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "HOTSLOT_HOME": str(tmp_path),
        "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "HOTSLOT_RATE_LIMIT_BURST": "20",
    }
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--workers", "0"]
    process = subprocess.Popen([*command, "--processes", str(N_PROCESSES)], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _until(lambda: _answers(f"{url}/readyz"), 60)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _until(holds, within_s: float) -> float:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < within_s
        time.sleep(0.05)
    return time.monotonic() - started


def _statuses(url: str, key: str, n: int = 30) -> Counter[int]:
    """Of requests each on a connection of its own: the processes take turns in accepting them."""
    return Counter(httpx.get(url, headers={"X-API-Key": key}).status_code for _ in range(n))


@pytest.mark.slow
def test_keys_and_rates_in_several_processes(served, engine):
    first = create_key(engine, NewKey("admin", ["admin"], rate_per_s=0))
    made = create_key(engine, NewKey("reader", ["reader"], rate_per_s=0))
    assert _statuses(f"{served}/v1/me", first.text) == {200: 30}, "a key counts at once everywhere"
    assert _statuses(f"{served}/v1/me", made.text) == {200: 30}
    time.sleep(3.0)  # nobody asks: what the processes know ages
    revoke_key(engine, made.key.id)
    time.sleep(1.5)
    assert _statuses(f"{served}/v1/me", made.text) == {401: 30}
    slow = create_key(engine, NewKey("slow", ["reader"], rate_per_s=0.001))
    found = _statuses(f"{served}/v1/me", slow.text, 60)
    assert 20 <= found[200] <= 20 * N_PROCESSES
    assert found[429] == 60 - found[200]
