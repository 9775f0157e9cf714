"""Children of a worker, forked from its warm process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.worker import children
from app.worker import warm as warm_process
from app.worker.children import child_environment, run_child
from app.worker.run_process import OUT_OF_MEMORY, RETRY
from app.worker.warm import NUMBER
from tests.support.services.processes import processes_of

RUN, WARM = "app.worker.run_process", warm_process.__name__
PATIENCE_S = 100.0


@pytest.fixture
def deaf(settings, tmp_path):
    """Settings of a home of its own, whose database takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = SecretStr(f"postgresql://127.0.0.1:{server.getsockname()[1]}/none")
        yield settings.model_copy(update={"database_url": url, "home": tmp_path})


@pytest.fixture
def fresh():
    """No warm process of earlier tests, so that it has the home of this one's settings."""
    children._warm.end()


def push(settings):
    return asyncio.run(run_child(settings, "push", "-"))


async def until(seen):
    end = time.monotonic() + PATIENCE_S
    while not (found := seen()) and time.monotonic() < end:
        await asyncio.sleep(0.05)
    assert found
    return found


async def begun(settings):
    """A child that hangs, and its process id."""
    child = asyncio.create_task(run_child(settings, "push", "-"))
    (pid,) = await until(lambda: processes_of(settings.home, RUN))
    return child, pid


@pytest.mark.slow
def test_children_are_forked_from_one_process_that_has_no_threads(settings, deaf, fresh):
    settings = settings.model_copy(update={"training_threads": 2})
    assert push(settings) == 0
    warm = children._warm._process.pid
    assert asyncio.run(run_child(settings, "assimilate", "unknown")) == 0, "this one loads torch"
    assert len(list(Path(f"/proc/{warm}/task").iterdir())) == 1
    assert "libtorch" in Path(f"/proc/{warm}/maps").read_text()
    assert push(settings) == 0
    other = deaf.model_copy(update={"training_threads": 2})
    assert push(other) == RETRY, "each has its own settings"
    assert children._warm._process.pid == warm
    assert push(settings.model_copy(update={"training_threads": 1})) == 0
    assert children._warm._process.pid != warm, "libraries are loaded for a number of threads"


@pytest.mark.slow
def test_libraries_are_loaded_without_cuda():
    code = (
        "from app.worker.warm import FITS, LIGHT, load; load(LIGHT); load(FITS); import sys;"
        " print(sys.modules['torch'].cuda.is_initialized(), 'app.worker.main' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout == "False False\n"


def test_the_libraries_of_the_warm_process_count_against_the_limit():
    code = (
        "from app.worker import run_process as r\n"
        "r.main = lambda *_: r.cap_memory(16 << 20, 'cpu')\n"
        "raise SystemExit(r.main_within_memory('push', '-'))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == OUT_OF_MEMORY


@pytest.mark.slow
def test_where_the_warm_process_dies_its_children_count_as_killed(settings, deaf, fresh):
    async def lose(number):
        child, pid = await begun(deaf)
        os.kill(pid, signal.SIGSTOP)
        os.kill(children._warm._process.pid, number)
        assert await asyncio.wait_for(child, PATIENCE_S) == -signal.SIGKILL
        await until(lambda: pid not in processes_of(deaf.home))

    asyncio.run(lose(signal.SIGKILL))
    asyncio.run(lose(signal.SIGTERM))
    assert push(settings) == 0


@pytest.mark.slow
def test_a_child_that_is_stopped_before_it_begins_ends_with_the_warm_process(deaf, fresh):
    asked = children._warm.ask("push", child_environment(deaf))
    asked.setblocking(True)
    (pid,) = NUMBER.unpack(asked.recv(NUMBER.size))
    status = Path(f"/proc/{pid}/status")
    end = time.monotonic() + PATIENCE_S
    while "\tS (" not in status.read_text():  # it waits for what to do
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(pid, signal.SIGSTOP)
    children._warm.end()
    while status.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    asked.close()


@pytest.mark.slow
def test_a_killed_child_is_told_from_one_that_ends_by_itself(deaf, fresh):
    async def kill(number):
        child, pid = await begun(deaf)
        os.kill(pid, number)
        return await asyncio.wait_for(child, PATIENCE_S)

    for number in (signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL):
        assert asyncio.run(kill(number)) == -number
    assert push(deaf) == RETRY


@pytest.mark.slow
def test_a_child_is_ended_with_the_task_that_waits_for_it(deaf, fresh):
    async def cancel(times):
        if times:
            child, pid = await begun(deaf)
            os.kill(pid, signal.SIGSTOP)
        else:
            child = asyncio.create_task(run_child(deaf, "push", "-"))
            await asyncio.sleep(0.1)  # its warm process is loading
        for _ in range(max(times, 1)):
            child.cancel()
            await asyncio.sleep(0.1)
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(child, PATIENCE_S)
        assert child.cancelled()
        await until(lambda: processes_of(deaf.home, RUN) == [])

    for times in (0, 1, 2):
        asyncio.run(cancel(times))


@pytest.mark.slow
def test_nothing_outlives_a_worker_that_is_killed(deaf):
    code = (
        "import asyncio; from app.core.settings import Settings; from app.worker.children import run_child;"
        " asyncio.run(run_child(Settings(), 'push', '-'))"
    )
    environment = {
        **os.environ,
        "HOTSLOT_HOME": str(deaf.home),
        "HOTSLOT_DATABASE_URL": deaf.database_url.get_secret_value(),
    }
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as worker:
        (child,) = asyncio.run(until(lambda: processes_of(deaf.home, RUN)))
        os.kill(child, signal.SIGSTOP)
        assert processes_of(deaf.home, WARM) != []
        worker.kill()
    asyncio.run(until(lambda: processes_of(deaf.home) == []))
