"""An erased incident leaves no trace, and the versions that had learnt from it are told and replaced."""

import json
import re

import numpy as np
import pytest
from sqlalchemy import event, text

from app.core.errors import Conflict, NotFound
from app.erasure.service import erase_incident, erase_upload
from app.erasure.store import list_erasures
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.readers.columns.mapping import ColumnMapping
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.champions import get_champion, promote
from app.registry.erasure_marks import marked_versions, newest_erasure, vacuum_erased
from app.runs.store import get_run
from app.training.service import TrainingRequest
from app.worker.jobs import run_now, work_on

FAST = TrainingRequest(model="pooled-kde", validate=False)


def quiet(_share, _message):
    pass


def rows(start, n=150, prefix="x", days=30):
    frame = synthetic_city().draw(days, 10 if days == 30 else 15, seed=start).head(n)
    lines = ["occurred_at,longitude,latitude,category,external_id"]
    for i, r in enumerate(frame.itertuples()):
        at = r.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"{at},{r.longitude:.7f},{r.latitude:.7f},{r.category},{prefix}{i}")
    return "\n".join(lines).encode()


def send(engine, settings, region, body):
    source = UploadSource("text/csv", name="feed.csv")
    return ingest(engine, region, [body], source, settings=settings)


@pytest.fixture
def region(engine, settings, request):
    name = request.node.name.lower().replace("_", "-")[:50]
    boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
    add_region(engine, name, timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    return name


def traces(engine, *needles):
    """Rows of any table, in text form, that hold one of these texts."""
    found = []
    with engine.connect() as connection:
        names = connection.scalars(
            # A partition's rows are those of incidents.
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename !~ '^incidents_p'"
            )
        ).all()
        for name in names:
            for row in connection.scalars(text(f'SELECT t::text FROM "{name}" AS t')):
                found += [(name, needle) for needle in needles if needle in row]
    return found


def test_no_table_keeps_a_trace(engine, settings, region):
    ring = np.array(synthetic_city().area.to_geojson()["coordinates"][0])
    longitude, latitude = (f"{v:.4f}567" for v in ring.mean(axis=0)[:2])
    body = (
        "occurred_at,longitude,latitude,category,external_id\n"
        f"2019-03-01T10:00:00Z,{longitude},{latitude},theft,case-4711\n"
    )
    first = send(engine, settings, region, body.encode())
    assert first.accepted == 1, first
    corrected = body.replace("theft", "burglary").encode()
    assert send(engine, settings, region, corrected).corrected == 1
    needles = ("case-4711", longitude, latitude)
    assert {t for t, _ in traces(engine, *needles)} == {"incidents", "incident_history"}
    erase_incident(engine, region, "case-4711")
    assert traces(engine, *needles) == []
    with pytest.raises(NotFound) as caught:
        erase_incident(engine, region, "case-4711")
    assert "4711" not in caught.value.message


def test_the_partition_of_erased_rows_is_vacuumed(engine, settings, region):
    send(engine, settings, region, rows(4))
    erase_incident(engine, region, "x3")
    with engine.connect() as connection:
        newest = newest_erasure(connection)
    vacuum_erased(engine, newest)
    done = text(
        "SELECT last_vacuum >= :erased FROM pg_stat_user_tables WHERE relid = ("
        " SELECT i.tableoid FROM incidents AS i JOIN regions AS r ON r.key = region_key"
        " WHERE r.id = :region LIMIT 1)"
    )
    with engine.connect() as connection:
        assert connection.scalar(done, {"erased": newest, "region": region})


@pytest.mark.slow
def test_dependent_versions_are_marked_and_replaced(engine, settings, region):
    send(engine, settings, region, rows(1))
    early = run_now(
        engine,
        settings,
        region,
        TrainingRequest(model="uniform", validate=False, until=None),
        quiet,
    ).model_version
    before = run_now(engine, settings, region, FAST, quiet)
    with engine.begin() as connection:
        key = get_region(connection, region).key
        promote(connection, key, before.model_version, "test")
    result = erase_incident(engine, region, "x149")
    assert set(result.versions) == {early, before.model_version}
    assert result.run_id is not None
    with engine.connect() as connection:
        assert marked_versions(connection, key) == {early: 1, before.model_version: 1}
        queued = get_run(connection, "train", result.run_id)
        jobs = connection.scalar(
            text("SELECT count(*) FROM procrastinate_jobs WHERE args->>'run_id' = :id"),
            {"id": str(result.run_id)},
        )
    assert (queued.status, queued.request, jobs) == ("queued", FAST.to_json(), 1)
    assert erase_incident(engine, region, "x148").run_id == result.run_id  # one run answers both
    work_on(engine, settings, "train", result.run_id)
    with engine.connect() as connection:
        champion = get_champion(connection, key)
        run = get_run(connection, "train", result.run_id)
        version = registry.get_version(connection, key)
        assert champion.version not in marked_versions(connection, key)
        assert [e.n_incidents for e in list_erasures(connection, key)] == [1, 1]
    assert run.metrics["promoted"], run.metrics
    assert "erased" in run.metrics["reason"]
    assert (champion.version, version.n_incidents) == (run.model_version, 148)


def test_versions_that_ended_before_it_are_not_marked(engine, settings, region):
    send(engine, settings, region, rows(2))
    with engine.connect() as connection:
        key = get_region(connection, region).key
        middle = connection.scalar(
            text(
                "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY occurred_at) FROM incidents"
                " WHERE region_key = :k"
            ),
            {"k": key},
        )
    request = TrainingRequest(model="pooled-kde", validate=False, until=middle)
    run_now(engine, settings, region, request, quiet)
    later = erase_incident(engine, region, "x149")
    assert (later.versions, later.run_id) == ([], None)
    early = erase_incident(engine, region, "x0")
    assert (early.versions, len(early.dropped)) == ([], 1), "75 incidents are few: it goes"


def test_an_upload_goes_with_all_it_brought(engine, settings, region):
    kept = send(engine, settings, region, rows(3, 60, "keep"))
    gone = send(engine, settings, region, rows(4, 40, "gone"))
    assert erase_upload(engine, region, gone.upload_id).n_incidents == gone.accepted
    assert traces(engine, ",gone1,", ",gone7,") == []
    with engine.connect() as connection:
        key = get_region(connection, region).key
        left = connection.scalar(
            text("SELECT count(*) FROM incidents WHERE region_key = :k"), {"k": key}
        )
    assert left == kept.accepted
    with pytest.raises(NotFound):
        erase_upload(engine, region, gone.upload_id)


@pytest.mark.parametrize(("n", "said"), [(30, "erased_meanwhile"), (700, None)])
def test_a_run_that_had_read_it_registers_a_marked_version_or_none(
    engine, settings, request, n, said
):
    from app.runs.store import claim_run, create_run
    from app.training.service import execute_training

    region = f"late-{n}"
    boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
    add_region(engine, region, timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    send(engine, settings, region, rows(5, n, days=60))
    with engine.begin() as connection:
        key = get_region(connection, region).key
        run = claim_run(
            connection, "train", create_run(connection, "train", key, FAST.to_json()).id
        )
    erased = []

    def progress(share, _message):
        if share > 0.9 and not erased:  # everything is read, nothing registered
            erased.append(erase_incident(engine, region, "x3"))

    if said is None:
        execute_training(engine, settings, run, progress, lambda: False)
    else:
        with pytest.raises(Conflict) as caught:
            execute_training(engine, settings, run, progress, lambda: False)
        assert caught.value.code == said
    assert erased[0].versions == []
    assert erased[0].run_id is not None
    with engine.connect() as connection:
        marked = list(marked_versions(connection, key).values())
        assert marked == ([1] if said is None else [])
        assert len(registry.list_versions(connection, key)) == len(marked)


def test_an_incident_is_found_by_indexes_alone(engine, settings, region):
    """Whichever name is given: a region may have ten million others."""
    frame = synthetic_city().draw(300, 20, seed=7)
    frame["occurred_at"] = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    frame["external_id"] = [str(k) for k in range(len(frame))]
    frame["case_number"] = "C" + frame["external_id"]
    body = frame.to_csv(index=False).encode()
    mapping = ColumnMapping(columns={"reference": "case_number"})
    source = UploadSource("text/csv", mapping=mapping)
    ingest(engine, region, [body], source, settings=settings)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE incidents"))
    asked = []

    def explain(connection, _cursor, statement, parameters, *_):
        if "by_external_id" in statement and not asked:
            asked.append(statement)
            cursor = connection.connection.driver_connection.cursor()
            cursor.execute("SET LOCAL enable_seqscan = off")
            asked.append(json.dumps(cursor.execute(f"EXPLAIN {statement}", parameters).fetchall()))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        for by, name in (("external_id", "3"), ("reference", "C4")):
            assert erase_incident(engine, region, name, by=by).n_incidents == 1
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    found = set(re.findall(r"Bitmap Index Scan on incidents_p\d+_(\w+)", asked[1]))
    assert found == {
        "pkey", "region_key_reference_idx", "region_key_dedup_key_occurrence_key"
    }, asked[1]  # fmt: skip


def test_an_id_that_was_cut_is_found(engine, settings, region):
    """Ids of early releases may be longer than a stored one may be now; their keys are of the whole."""
    send(engine, settings, region, rows(7, n=5))
    long = "9" * 200
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE incidents SET external_id = :long WHERE external_id = 'x3'"),
            {"long": long},
        )
    assert erase_incident(engine, region, long).n_incidents == 1
