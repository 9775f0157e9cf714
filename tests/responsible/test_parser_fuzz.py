"""Readers of uploads give rows or an error to act on, whatever the bytes."""

import random

import pytest

from benchmarks.drills.parser_fuzz import good_bodies, mutated, parse


def test_good_bodies_are_taken():
    assert all(parse(kind, body) >= 1 for kind, body in good_bodies())


@pytest.mark.parametrize("seed", range(4))
def test_mutated_bodies_never_raise_anything_else(seed):
    rng = random.Random(seed)
    bodies = good_bodies()
    for _ in range(150):
        kind, body = rng.choice(bodies)
        parse(kind, mutated(body, rng))


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
