"""After an erasure neither a dump of the database nor the home folder holds anything of it."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from datetime import UTC, datetime
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.audit.verification import verify_audit
from app.core.devserver.cluster import _binaries
from app.evaluation.backtests.request import BacktestRequest
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry.champions import get_champion, promote
from app.training.service import TrainingRequest
from app.worker.jobs import run_now, work_on
from app.worker.maintenance import maintain

CATEGORY = "CatZXQ7781"
EXTERNAL_ID = "case/ZXQ-4711"
KEY = "key-ZXQ-0815"
HEADER = "occurred_at,longitude,latitude,category,external_id\n"


class Planted:
    """One incident with unmistakable marks, and every form in which they could be stored."""

    def __init__(self) -> None:
        ring = synthetic_city().area.to_geojson()["coordinates"][0]
        self.longitude = round(sum(p[0] for p in ring[:-1]) / (len(ring) - 1), 4) + 0.00003217
        self.latitude = round(sum(p[1] for p in ring[:-1]) / (len(ring) - 1), 4) + 0.00004319
        self.at = datetime(2019, 11, 28, 23, 41, 7, tzinfo=UTC)

    @property
    def row(self) -> str:
        return f"2019-11-28T23:41:07Z,{self.longitude:.8f},{self.latitude:.8f},{CATEGORY},{EXTERNAL_ID}\n"

    def marks(self, body_sha256: str, metres: tuple[float, float]) -> list[str]:
        epoch = int(self.at.timestamp())
        floats = [struct.pack("<f", m).hex() for m in metres]
        return [
            CATEGORY,
            EXTERNAL_ID,
            KEY,
            body_sha256,
            f"{self.longitude:.8f}",
            f"{self.latitude:.8f}",
            "23:41:07",
            str(epoch),
            struct.pack("<q", epoch).hex(),
            *floats,
            *(f"{m:.9g}" for m in metres),
        ]


def dump(settings) -> str:
    """The whole database as text, bytes as hex."""
    binary = _binaries() / "bin" / "pg_dump"
    url = settings.database_url.get_secret_value().replace("+psycopg", "")
    done = subprocess.run([binary, "--inserts", url], capture_output=True, text=True, check=True)
    return done.stdout


def found(settings, marks: list[str]) -> list[str]:
    """Marks that the dump or a file of the home folder holds, with a piece of what stands around."""
    where = {"dump": dump(settings)}
    where |= {
        str(p): p.read_bytes().decode("latin-1") + p.read_bytes().hex()
        for p in settings.home.rglob("*")
        if p.is_file()
    }
    return [
        f"{mark} in {name}: {content[max(0, at - 60) : at + 60]}"
        for mark in marks
        for name, content in where.items()
        if (at := content.find(mark)) >= 0
    ]


def lines(n: int, prefix: str) -> str:
    frame = synthetic_city().draw(330, 14, seed=5).head(n)
    return HEADER + "".join(
        f"{r.occurred_at:%Y-%m-%dT%H:%M:%SZ},{r.longitude:.7f},{r.latitude:.7f},{r.category},{prefix}{i}\n"
        for i, r in enumerate(frame.itertuples())
    )


@pytest.fixture
def planted(engine, settings, request):
    """A region with many incidents, two versions on them, and a planted incident after that."""
    name = request.node.name.replace("_", "-")[:40].strip("-")
    boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
    add_region(engine, name, timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    body = lines(900, "x").encode()
    ingest(engine, name, [body], UploadSource("text/csv"), settings=settings)
    return name


def quietly(_share: float, _message: str) -> None:
    """Report no progress."""


def trained(engine, settings, region, **request) -> str:
    asked = TrainingRequest(model="pooled-kde", **{"validate": False, **request})
    run = run_now(engine, settings, region, asked, quietly)
    assert run.status == "succeeded", run.message
    return run.model_version


def metres_of(engine, external_id: str) -> tuple[float, float]:
    query = text("SELECT x_m, y_m FROM incidents WHERE external_id = :e")
    with engine.connect() as connection:
        return tuple(connection.execute(query, {"e": external_id}).one())


def champion_of(engine, region):
    with engine.connect() as connection:
        found = get_champion(connection, get_region(connection, region).key)
    return None if found is None else found.version


def upload_twice(client, url: str, upload: dict, mark: Planted) -> None:
    """Upload the incident, repeat that without the idempotency key, and export it."""
    assert client.post(f"{url}/incidents", **upload).json()["accepted"] == 1
    again = {**upload, "headers": {"Content-Type": "text/csv"}}
    assert client.post(f"{url}/incidents", **again).json()["duplicates"] == 1
    only = {
        "bbox": f"{mark.longitude:.8f},{mark.latitude:.8f},180,90",
        "datetime": "2019-11-28T23:41:07Z/..",
        "category": CATEGORY,
    }
    assert len(client.get(f"{url}/incidents", params=only).json()["features"]) == 1


def spread(engine, settings, region: str, client) -> tuple[list[str], UUID]:
    """Run everything that may copy something of an incident.

    Returns:
        The versions that learnt from it, the last of them champion, and a training in the queue.
    """
    url = f"/v1/regions/{region}"
    few = trained(engine, settings, region, categories=[CATEGORY])
    rare = trained(engine, settings, region, validate=True)
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    failing = TrainingRequest("uniform", categories=[CATEGORY], until=long_ago, validate=False)
    run_now(engine, settings, region, failing, quietly)
    asked = {"model": "uniform", "categories": [CATEGORY, "theft"]}
    queued = client.post(f"{url}/training-runs", json=asked).json()["id"]
    compared = BacktestRequest(models=("uniform",), n_origins=1, horizon_days=7)
    run_now(engine, settings, region, compared, quietly)
    interrupted = settings.home / "backtests" / "interrupted.npz"
    interrupted.parent.mkdir(exist_ok=True)
    interrupted.write_bytes(CATEGORY.encode())
    maintain(engine, settings, datetime.now(UTC))
    assert client.get(f"{url}/fairness-report").status_code == 200
    with engine.begin() as connection:
        promote(connection, get_region(connection, region).key, rare, "test")
    return [few, rare], UUID(queued)


@pytest.mark.slow
def test_nothing_of_an_incident_is_left(engine, settings, planted):
    mark, region, url = Planted(), planted, f"/v1/regions/{planted}"
    before = trained(engine, settings, region)
    body = (HEADER + mark.row).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    upload = {"headers": {"Content-Type": "text/csv", "Idempotency-Key": KEY}, "content": body}
    with TestClient(create_app(settings, engine)) as client:
        upload_twice(client, url, upload, mark)
        marks = mark.marks(sha256, metres_of(engine, EXTERNAL_ID))
        versions, queued = spread(engine, settings, region, client)
        assert found(settings, [CATEGORY, EXTERNAL_ID, KEY, sha256]), "it finds what is there"

        assert client.delete(f"{url}/incidents/{EXTERNAL_ID}").status_code == 204
        assert found(settings, marks) == []
        assert champion_of(engine, region) == before, "the one before, which had not seen it"
        assert client.get(f"{url}/forecasts/density?window=3").status_code == 200
        for gone in versions:
            assert client.get(f"{url}/models/{gone}").status_code == 404
        (erasure,) = client.get(f"{url}/erasures").json()["erasures"]
        assert (erasure["incidents"], erasure["versions"], erasure["versions_dropped"]) == (
            1,
            [],
            2,
        )
        assert erasure["training_run"]
        replayed = client.post(f"{url}/incidents", **upload)
        assert (replayed.status_code, replayed.json()["code"]) == (409, "erased")
        assert KEY not in replayed.text
        work_on(engine, settings, "train", queued)
        runs = client.get(f"{url}/training-runs").json()["training_runs"]
        asked = [run["request"]["categories"] for run in runs]
        assert {names and tuple(names) for names in asked} == {None, ("theft",)}
    assert found(settings, marks) == []
    assert verify_audit(engine).problems == []


def test_a_version_of_many_is_only_marked(engine, settings, planted):
    version = trained(engine, settings, planted)
    with engine.connect() as connection:
        external_id = connection.scalar(
            text(
                "SELECT external_id FROM incidents AS i JOIN regions AS r ON r.key = i.region_key"
                " WHERE r.id = :r AND category_key = (SELECT category_key FROM incidents AS o"
                " WHERE o.region_key = r.key GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) LIMIT 1"
            ),
            {"r": planted},
        )
    with TestClient(create_app(settings, engine)) as client:
        url = f"/v1/regions/{planted}"
        assert client.delete(f"{url}/incidents/{external_id}").status_code == 204
        (erasure,) = client.get(f"{url}/erasures").json()["erasures"]
        assert (erasure["versions"], erasure["versions_dropped"]) == ([version], 0)
        assert client.get(f"{url}/models/{version}").json()["erased_incidents"] == 1


@pytest.mark.slow
def test_an_upload_whose_all_is_all_there_was_leaves_a_region_that_says_so(
    engine, settings, planted
):
    url, headers = f"/v1/regions/{planted}", {"Content-Type": "text/csv", "Idempotency-Key": KEY}
    body = HEADER + "".join(
        Planted().row.replace(EXTERNAL_ID, f"{EXTERNAL_ID}-{n}") for n in range(30)
    )
    with TestClient(create_app(settings, engine)) as client:
        sent = client.post(f"{url}/incidents", content=body, headers=headers).json()
        version = trained(engine, settings, planted)
        assert champion_of(engine, planted) == version
        answer = client.delete(f"{url}/uploads/{sent['upload_id']}").json()
        assert answer["erased"] == 30
        assert answer["versions_dropped"] == [version], "all that its category was made of is gone"
        assert answer["serves"] is None
        assert answer["training_run"]
        reply = client.get(f"{url}/forecasts/density?window=3")
        assert (reply.status_code, reply.json()["code"]) == (409, "no_model")
        assert (
            client.post(f"{url}/incidents", content=body, headers=headers).json()["code"]
            == "erased"
        )
        assert found(settings, [CATEGORY, EXTERNAL_ID, KEY]) == []
        work_on(engine, settings, "train", UUID(answer["training_run"]))
        assert client.get(f"{url}/forecasts/density?window=3").status_code == 200
