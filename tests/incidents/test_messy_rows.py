"""Bad rows among good, bodies broken in every way, hostile texts: counted, refused by name, harmless."""

import gzip
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.errors import HotslotError, InvalidInput
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.readers.formats import EXCEL_TYPE, TEXT_READERS
from app.regions.service import add_region
from tests.support.inputs.messy import HEADER, messy_corpus, mutated, seed_bodies

GOOD = "2019-03-04T10:00:00Z,-74.05,4.65,theft\n"
HEAD = ",".join(HEADER) + "\n"


@pytest.fixture(scope="module")
def corpus():
    return messy_corpus(n_good=300, per_fault=4, seed=1)


def new_region(engine, name, *, bounded=True):
    area = synthetic_city().area.to_geojson() if bounded else None
    return add_region(engine, name, timezone=TIMEZONE, boundary=area).id


def send(engine, settings, region, body, kind="text/csv", **more):
    small = settings.model_copy(update={"upload_chunk_rows": 100})
    chunks = [body[i : i + 777] for i in range(0, len(body), 777)]
    return ingest(engine, region, chunks, UploadSource(kind, **more), settings=small)


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"),
    [
        ("plain", ",", "utf-8"),
        ("marked", ",", "utf-8-sig"),
        ("semicolons", ";", "utf-8"),
        ("tabs", "\t", "utf-8"),
        ("utf-16", ",", "utf-16"),
        ("utf-16-le", ",", "utf-16-le"),
        ("utf-16-be", ";", "utf-16-be"),
    ],
)
def test_every_fault_is_counted_under_its_code(engine, settings, corpus, name, delimiter, encoding):
    region = new_region(engine, name)
    told = send(engine, settings, region, corpus.csv(delimiter, encoding))
    assert told.rejected_by_code == corpus.by_code
    assert (told.received, told.accepted) == (len(corpus.rows), corpus.n_good)
    assert told.received == told.accepted + told.duplicates + told.rejected
    refused = [(i + 1, code) for i, code in enumerate(corpus.codes) if code]
    assert [(e["row"], e["code"]) for e in told.errors] == refused[:100]
    assert any(w.code == "looks_swapped" for w in told.warnings)


def test_json_counts_the_same_and_adds_nothing(engine, settings, corpus):
    region = new_region(engine, "json")
    send(engine, settings, region, corpus.csv())
    lines = b"\n".join(orjson.dumps(o) for o in corpus.objects())
    told = send(engine, settings, region, lines, "application/x-ndjson")
    assert told.rejected_by_code == corpus.by_code
    assert (told.accepted, told.duplicates) == (0, corpus.n_good)


def test_rows_of_another_width_are_refused_and_named(engine, settings, corpus):
    told = send(engine, settings, new_region(engine, "ragged"), corpus.csv(ragged=True))
    n_bad = sum(code is not None for code in corpus.codes)
    assert told.rejected_by_code == {"unreadable_row": n_bad}
    assert told.accepted == corpus.n_good


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (HEAD + GOOD * 3 + '2019-03-04T11:00:00Z,-74.05,4.65,"theft\n' + GOOD * 3, "row 4"),
        (HEAD + GOOD * 3 + '2019-03-04T11:00:00Z,-74.05,4.65,"theft\n' + GOOD * 900, "row 4"),
        (HEAD + GOOD * 2 + f"2019-03-04T11:00:00Z,-74.05,4.65,{'x' * 2_000_000}\n", "line 4"),
        (HEAD + GOOD + f"2019-03-04T11:00:00Z,-74.05,4.65,{'x' * 5_000}\n", "row 2"),
    ],
)
def test_what_cannot_be_split_into_rows_is_refused_whole(engine, settings, body, says):
    region = new_region(engine, "whole")
    with pytest.raises(InvalidInput, match=says):
        send(engine, settings, region, body.encode())
    assert count(engine, region) == 0


@pytest.mark.slow
def test_a_late_byte_of_another_encoding_and_odd_line_breaks_are_text(engine, settings):
    region = new_region(engine, "bytes")
    body = (HEAD + GOOD * 9_000).encode() + b"2019-03-04T12:00:00Z,-74.05,4.65,caf\xe9\x80\n"
    body += "2019-03-04T13:00:00Z,-74.05,4.65,a\u2028b\x0cc\n".encode()
    told = send(engine, settings, region, body)
    assert (told.rejected, told.accepted) == (0, 9_002)
    with engine.connect() as connection:
        names = set(connection.execute(text("SELECT name FROM categories")).scalars())
    assert {"café€", "a\u2028b\x0cc"} <= names


def test_swapped_files_are_told_with_and_without_a_boundary(engine, settings):
    rows = messy_corpus(400, 0).rows
    turned = HEAD + "".join(f"{t},{y},{x},{c}\n" for t, x, y, c in rows)
    told = send(engine, settings, new_region(engine, "turned"), turned.encode())
    assert told.rejected_by_code == {"looks_swapped": 400}
    assert [w.code for w in told.warnings] == ["looks_swapped"]
    # Without a boundary the time zone shows it, or what is stored.
    for timezone in ("America/Bogota", "Etc/UTC"):
        region = f"unbounded-{timezone[:3].lower()}"
        add_region(engine, region, timezone=timezone)
        send(engine, settings, region, (HEAD + GOOD).encode())
        with pytest.raises(InvalidInput, match="exchange the columns"):
            send(engine, settings, region, turned.encode())
        assert count(engine, region) == 1


@pytest.mark.slow
def test_one_file_in_any_order_and_at_once_is_there_once(engine, settings):
    region = new_region(engine, "once")
    rows = [",".join(r) + "\n" for r in messy_corpus(3_000, 0, seed=4).rows]
    rows += rows[:500]
    rng = np.random.default_rng(0)
    bodies = [(HEAD + "".join(rng.permutation(rows))).encode() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda b: send(engine, settings, region, b), bodies))
    assert sum(t.accepted for t in told) == len(rows) == count(engine, region)
    assert sum(t.duplicates for t in told) == 3 * len(rows)


def test_one_key_at_once_is_one_execution(engine, settings):
    region = new_region(engine, "keyed")
    body = (HEAD + "".join(",".join(r) + "\n" for r in messy_corpus(500, 0).rows)).encode()

    def attempt(_):
        try:
            return send(engine, settings, region, body, idempotency_key="k")
        except HotslotError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(24)))
    done = [a for a in answers if not isinstance(a, str)]
    assert done
    assert all(a == done[0] for a in done)
    assert {a for a in answers if isinstance(a, str)} <= {"key_in_use"}
    with engine.connect() as connection:
        n = connection.scalar(text("SELECT count(*) FROM uploads WHERE idempotency_key = 'k'"))
    assert (n, count(engine, region)) == (1, 500)


@pytest.mark.slow
def test_mutated_bodies_of_every_format_never_break_the_server(engine, settings):
    region = new_region(engine, "mutants")
    bodies = seed_bodies(messy_corpus(40, 1, seed=2))
    assert {"text/csv", "application/json", EXCEL_TYPE, "application/zip"} <= {b[0] for b in bodies}
    rng = np.random.default_rng(5)
    answers = set()
    with TestClient(create_app(settings, engine), raise_server_exceptions=False) as client:
        for i in range(150):
            content_type, encoding, body = mutated(*bodies[i % len(bodies)], rng)
            if i >= 6 * len(bodies) and content_type not in TEXT_READERS:
                continue  # a process of its own for each: drill I5 sends 5,000 bodies
            headers = {"Content-Type": content_type}
            if encoding:
                headers["Content-Encoding"] = encoding
            reply = client.post(f"/v1/regions/{region}/incidents", content=body, headers=headers)
            told = reply.json()
            answers.add((reply.status_code, told.get("code")))
            if reply.status_code == 200:
                sums = told["accepted"] + told["duplicates"] + told["rejected"]
                assert told["received"] == sums
    assert answers == {
        (200, None),
        (422, "bad_json"),
        (422, "damaged"),
        (422, "encoding"),
        (422, "missing_column"),
        (422, "unreadable_row"),
    }


def test_hostile_texts_are_bound(engine, settings):
    region = new_region(engine, "hostile")
    texts = [
        "'; DROP TABLE incidents; --",
        "x'); SELECT pg_sleep(9); --",
        "$1",
        "%s",
        "{0}",
        "\\N",
        "\\.",
    ]
    rows = [
        {"occurred_at": f"2019-03-04T{i:02d}:00:00Z", "longitude": -74.05, "latitude": 4.65,
         "category": t, "external_id": f"{t}{i}"}
        for i, t in enumerate(texts)
    ]  # fmt: skip
    assert send(engine, settings, region, orjson.dumps(rows), "application/json").accepted == len(
        texts
    )
    with TestClient(create_app(settings, engine)) as client:
        for t in texts:
            found = client.get(f"/v1/regions/{region}/incidents", params={"category": t}).json()
            assert [f["properties"]["category"] for f in found["features"]] == [t]


def test_nested_bombs_are_refused(engine, settings):
    region = new_region(engine, "bombs")
    inner = gzip.compress(b"0" * (30 << 20))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.csv", b"0" * (60 << 20))
    for kind, body, encoding in (
        ("text/csv", inner, "gzip"),
        ("application/zip", gzip.compress(buffer.getvalue()), "gzip"),
        ("application/zip", buffer.getvalue(), None),
        ("application/json", gzip.compress(b"[" * (8 << 20)), "gzip"),
    ):
        with pytest.raises(InvalidInput):
            send(engine, settings, region, body, kind, content_encoding=encoding)
    assert count(engine, region) == 0


def count(engine, region):
    statement = text(
        "SELECT count(*) FROM incidents JOIN regions r ON r.key = region_key WHERE r.id = :region"
    )
    with engine.connect() as connection:
        return connection.scalar(statement, {"region": region})
