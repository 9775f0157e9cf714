"""The services of docker-compose.yml, in their order, and a forecast out of them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.box import Box
from tests.rehearsal.build import environment_of
from tests.rehearsal.dockerfile import Stage, filled

SECRETS = Path("/run/secrets")
DATA = Path("/var/lib/postgresql/data")
API = "http://127.0.0.1:8000"
TRAINED_S = 120.0


class Rehearsal:
    """Acts the services out.

    Args:
        image: the last stage of the Dockerfile, whose command, user and environment hold unless a
            service says otherwise.
    """

    def __init__(self, box: Box, path: Path, image: Stage) -> None:
        self.box = box
        self.image = image
        self.services: dict[str, Any] = yaml.safe_load(filled(path.read_text(), {}))["services"]
        self.done: set[str] = set()
        self.key = ""

    def run(self) -> None:
        """Secrets, services in the order of their conditions, use, backup, stop."""
        self._make_secrets()
        self._gate_holds()
        pending = [name for name, service in self.services.items() if "profiles" not in service]
        while pending:
            ready = [n for n in pending if set(self._needs(n)) <= self.done]
            if not ready or not self._bring_up(ready[0]):
                return
            if ready[0] == "migrate":
                self._make_key()
            self.done.add(ready[0])
            pending.remove(ready[0])
        self._use()
        self._back_up_and_restore()
        self.box.stop_all(15.0)

    def _needs(self, name: str) -> dict[str, Any]:
        needs: dict[str, Any] = self.services[name].get("depends_on", {})
        return needs

    def _make_secrets(self) -> None:
        """The three commands of the compose file's head."""
        SECRETS.mkdir(parents=True, exist_ok=True)
        password = secrets.token_hex(24)
        (SECRETS / "postgres_password").write_text(password)
        (SECRETS / "hotslot_database_url").write_text(f"postgresql://hotslot:{password}@db/hotslot")
        for path in SECRETS.iterdir():
            path.chmod(0o444)
        with Path("/etc/hosts").open("a") as hosts:
            hosts.write("\n127.0.0.1 db\n")

    def _environment(self, name: str) -> dict[str, str]:
        own = self.services[name].get("environment", {})
        return {**environment_of(self.image), **{key: str(value) for key, value in own.items()}}

    def _gate_holds(self) -> None:
        """Without a database the one-shot migration must fail, which keeps the rest from starting."""
        started = time.perf_counter()
        done = self._in_image(self.services["migrate"]["command"], "migrate")
        one_line = done.returncode != 0 and "Traceback" not in done.stderr
        self.box.note("migrate", "fails in one line without db", one_line, started, done.stderr)

    def _make_key(self) -> None:
        """The command of the compose file's head that gives the API its first key."""
        started = time.perf_counter()
        command = ["hotslot", "key", "create", "first", "--role", "admin"]
        done = self._in_image(command, "migrate")
        self.key = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
        self.box.note("migrate", " ".join(command), done.returncode == 0, started, done.stderr)

    def _in_image(self, command: list[str], service: str) -> subprocess.CompletedProcess[str]:
        """A command in a container of a service, to its end."""
        return subprocess.run(
            command,
            env=self._environment(service),
            user=self.image.user,
            group=self.image.user,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def _bring_up(self, name: str) -> bool:
        service = self.services[name]
        if name == "db":
            self._start_database(service)
        elif any("completed" in n["condition"] for n in self._needs(name).values()):
            Path("/var/lib/hotslot").mkdir(parents=True, exist_ok=True)
            shutil.chown("/var/lib/hotslot", self.image.user, self.image.user)
            command = service.get("command", self.image.command)
            environment = self._environment(name)
            self.box.start(name, command, environment, self.image.user, self.image.workdir)
        else:
            return self.box.try_command(
                name, service["command"], self._environment(name), user=self.image.user
            )
        return self._healthy(name, service)

    def _start_database(self, service: dict[str, Any]) -> None:
        """What the image's entry point does: a cluster for the user, password and database named."""
        own = service["environment"]
        account = 10002
        subprocess.run(["useradd", "--uid", str(account), "database"], check=True)
        DATA.mkdir(parents=True, exist_ok=True)
        for path in (DATA, DATA.parent):
            os.chown(path, account, account)
        programs = {"PATH": "/opt/postgres/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        make = ["initdb", "-D", str(DATA), "-U", own["POSTGRES_USER"], "-A", "scram-sha-256"]
        make += [f"--pwfile={own['POSTGRES_PASSWORD_FILE']}"]
        self.box.try_command("db", make, programs, user=account, cwd=str(DATA))
        serve = ["postgres", "-D", str(DATA), "-k", str(DATA), "-c", "listen_addresses=127.0.0.1"]
        self.box.start("db", serve, programs, account, str(DATA))
        password = (SECRETS / "postgres_password").read_text()
        login = {**programs, "PGPASSWORD": password, "PGHOST": "127.0.0.1", "PGUSER": "hotslot"}
        for _ in range(100):
            done = subprocess.run(
                ["createdb", own["POSTGRES_DB"]], env=login, capture_output=True, check=False
            )
            if done.returncode == 0:
                return
            time.sleep(0.1)

    def _healthy(self, name: str, service: dict[str, Any]) -> bool:
        """The service's health check, or the image's, until it passes."""
        test = service.get("healthcheck", {}).get("test")
        command = test[1:] if test else self.image.health
        environment = self._environment(name)
        environment["PATH"] += ":/opt/postgres/bin"
        started = time.perf_counter()
        for _ in range(60):
            done = subprocess.run(
                command,
                env=environment,
                user=self.image.user,
                group=self.image.user,
                cwd="/",
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                break
            time.sleep(1.0)
        passed = done.returncode == 0
        said = "" if passed else self.box.log_of(name)
        return self.box.note(name, "healthy: " + " ".join(command), passed, started, said)

    def _use(self) -> None:
        """A region, incidents, a training by the worker, a forecast."""
        started = time.perf_counter()
        try:
            said = self._forecast_from_nothing()
            passed = True
        except (OSError, RuntimeError, KeyError) as error:
            said, passed = f"{type(error).__name__}: {error}; {self.box.log_of('worker')}", False
        self.box.note("api, worker", "region, upload, training, forecast", passed, started, said)

    def _back_up_and_restore(self) -> None:
        """The commands of docs/deployment.md, into a second database."""
        password = (SECRETS / "postgres_password").read_text()
        login = {"PATH": "/opt/postgres/bin:/usr/bin:/bin", "PGPASSWORD": password}
        login |= {"PGHOST": "db", "PGUSER": "hotslot", "LC_ALL": "C.UTF-8"}
        dump = "/tmp/hotslot.dump"
        for command in (
            ["pg_dump", "-Fc", "-f", dump, "hotslot"],
            ["createdb", "restored"],
            ["pg_restore", "--exit-on-error", "--no-owner", "-d", "restored", dump],
        ):
            self.box.try_command("backup", command, login)
        started = time.perf_counter()
        count = "SELECT (SELECT count(*) FROM incidents), (SELECT count(*) FROM forecast_grids)"
        counts = [
            subprocess.run(
                ["psql", "-Atc", count, name], env=login, capture_output=True, text=True, check=True
            ).stdout.strip()
            for name in ("hotslot", "restored")
        ]
        self.box.note("backup", f"same rows: {counts[0]}", len(set(counts)) == 1, started)

    def _forecast_from_nothing(self) -> str:
        """Probability that one hour's forecast sums to, and the version that gave it."""
        self._call("POST", "/v1/regions", {"id": "r", "name": "R", "timezone": "America/Bogota"})
        rows = [
            {
                "occurred_at": f"2024-{1 + n % 12:02d}-{1 + n % 28:02d}T{n % 24:02d}:00:00Z",
                "longitude": -74.1 + (n * 7919 % 1000) / 10_000,
                "latitude": 4.6 + (n * 104_729 % 1000) / 10_000,
                "category": "theft",
            }
            for n in range(2000)
        ]
        self._call("POST", "/v1/regions/r/incidents", rows)
        run = self._call("POST", "/v1/regions/r/training-runs", {"model": "pooled-kde"})
        deadline = time.perf_counter() + TRAINED_S
        while run["status"] in ("queued", "running") and time.perf_counter() < deadline:
            time.sleep(0.5)
            run = self._call("GET", f"/v1/regions/r/training-runs/{run['id']}")
        if run["status"] != "succeeded":
            raise RuntimeError(f"training {run['status']}: {run['message']}")
        forecast = self._call("GET", "/v1/regions/r/forecasts/density?window=3")
        return f"{sum(forecast['cells']['probability']):.6f} by {forecast['model_version']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(API + path, method=method)
        request.add_header("Content-Type", "application/json")
        request.add_header("X-API-Key", self.key)
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=60) as reply:
            return json.loads(reply.read())
