"""Readers of uploads give rows or an error to act on, whatever the bytes."""

import io
import random
import zipfile

import pytest

from app.readers.formats import ZIP_TYPE
from tests.support.inputs.parser_fuzz import good_bodies, mutated, parse, repacked


def test_good_bodies_are_taken():
    assert all(parse(kind, body) >= 1 for kind, body in good_bodies())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(4))
def test_mutated_bodies_never_raise_anything_else(seed):
    rng = random.Random(seed)
    bodies = good_bodies()
    for _ in range(150):
        kind, body = rng.choice(bodies)
        parse(kind, mutated(body, rng))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what GDAL thinks of broken files
def test_broken_parts_of_archives_never_raise_anything_else():
    rng = random.Random(0)
    archives = [(kind, body) for kind, body in good_bodies() if body.startswith(b"PK")]
    for _ in range(60):
        kind, body = rng.choice(archives)
        parse(kind, repacked(body, rng))


@pytest.mark.parametrize("projection", ['GEOGCS["x"', 'LOCAL_CS["x",UNIT["metre",1]]'])
def test_a_projection_that_leads_nowhere_is_refused(projection):
    (body,) = (body for kind, body in good_bodies() if kind == ZIP_TYPE)
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(packed, "w") as out:
        for name in archive.namelist():
            told = projection.encode() if name.endswith(".prj") else archive.read(name)
            out.writestr(name, told)
    assert parse(ZIP_TYPE, packed.getvalue()) == 0


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/csv", b"occurred_at," + b"x" * 300 + b"\n1,2\n"),
        ("text/csv", b"\n\n"),
        ("application/json", b'[{"occurred_at":"\\ud800","longitude":1,"latitude":1}]'),
        ("application/vnd.apache.parquet", b"PAR1" + b"\xff" * 40 + b"\x10\x00\x00\x00PAR1"),
    ],
)
def test_what_fuzzing_found(kind, body):
    assert parse(kind, body) == 0
