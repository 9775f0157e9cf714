"""Rows, boundary and time zone are weighed against each other."""

import numpy as np
import pytest

from app.core.errors import Conflict, InvalidInput
from app.geo.zone_places import Place
from app.incidents.parsing.place_witness import PlaceWitness
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import parse_block

BERLIN = Place(13.4, 52.5)


def _heard(witness, longitude, latitude, reject=None):
    n = len(longitude)
    columns = {
        "occurred_at": ["2026-07-01T10:00:00Z"] * n,
        "longitude": list(longitude),
        "latitude": list(latitude),
    }
    errors = RowErrors(n)
    if reject:
        errors.add(np.ones(n, bool), "latitude", reject)
    parsed = parse_block(
        columns, n, timezone=witness.timezone, now_s=1_800_000_000, area=None, errors=errors
    )
    witness.hear(parsed, errors)
    return witness


def test_rows_near_the_zone_are_right_whatever_is_stored():
    witness = PlaceWitness("r", "Europe/Berlin", None, BERLIN.swapped())
    assert list(_heard(witness, [13.4], [52.5]).warnings()) == []


def test_exchanged_rows_are_blamed_by_the_zone_or_by_what_is_stored():
    for timezone, known in (("Europe/Berlin", None), ("Etc/UTC", BERLIN)):
        with pytest.raises(InvalidInput, match="exchange the columns") as refused:
            _heard(PlaceWitness("r", timezone, None, known), [52.5], [13.4])
        assert (refused.value.code, refused.value.field) == ("looks_swapped", "latitude")


def test_a_wrong_boundary_is_blamed_even_if_it_is_no_mirror_image():
    witness = PlaceWitness("berlin", "Europe/Berlin", Place(-58.4, -34.6), None)
    with pytest.raises(Conflict, match="region edit berlin --boundary") as refused:
        _heard(witness, [13.4] * 3, [52.5] * 3, reject="outside_study_area")
    assert refused.value.code == "boundary_misplaced"


def test_a_right_boundary_is_not_blamed():
    witness = PlaceWitness("berlin", "Europe/Berlin", BERLIN, None)
    _heard(witness, [52.5] * 3, [13.4] * 3, reject="looks_swapped")
    assert witness.misplaced == Place(52.5, 13.4)


def test_without_a_third_witness_nothing_is_concluded():
    witness = PlaceWitness("r", "Etc/UTC", BERLIN.swapped(), None)
    _heard(witness, [13.4] * 3, [52.5] * 3, reject="looks_swapped")
    assert list(_heard(PlaceWitness("r", "Etc/UTC", None, None), [52.5], [13.4]).warnings()) == []
