"""An upload's tables have a reader of times each; what it proved of one says nothing of another."""

import numpy as np
import pytest

from app.core.errors import Conflict, InvalidInput
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.upload_times import MAX_TABLES, UploadTimes
from app.readers.blocks import Block
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import plan_columns

PLACE = {"longitude": [1.0], "latitude": [2.0]}


def block(texts, column="occurred_at", **mapping):
    places = {name: values * len(texts) for name, values in PLACE.items()}
    plan = plan_columns([column, *places], ColumnMapping(**mapping))
    return Block({"occurred_at": texts, **places}, len(texts), {}, plan)


def read(times, one):
    errors = RowErrors(one.n_rows)
    return times.columns(one, errors)["occurred_at"], errors.bad.tolist()


def test_a_proof_holds_for_its_table_only():
    times = UploadTimes("UTC")
    assert read(times, block(["13/03/2026 10:00"])) == (["2026-03-13T10:00:00"], [False])
    assert read(times, block(["05/03/2026 10:00"])) == (["2026-03-05T10:00:00"], [False])
    assert read(times, block(["05/03/2026 10:00"], "Date Occurred"))[1] == [True]
    with pytest.raises(InvalidInput):
        read(times, block(["03/13/2026 10:00"]))
    assert read(times, block(["03/13/2026 10:00"], "Date Occurred"))[1] == [False]
    described = times.described(
        [block(["x"]).plan.reading, block(["x"], "Date Occurred").plan.reading]
    )
    assert [[m.code for m in one.assumptions] for one in described] == [
        ["no_kind", "day_first"], ["no_kind", "month_first"]
    ]  # fmt: skip


def test_half_converted_dates_of_any_table_refuse_the_upload():
    times = UploadTimes("UTC")
    read(times, block(["2026-03-20T10:00"]))
    times.check()
    read(times, block(["2026-03-05T10:00"], "occurred"))
    read(times, block(["13/03/2026 10:00"], "occurred"))
    with pytest.raises(Conflict):
        times.check()


def test_readers_are_bounded_and_further_tables_are_still_read():
    times = UploadTimes("UTC")
    for i in range(MAX_TABLES + 5):
        one = block(["2026-03-05 10:00"], f"c{i}", columns={"occurred_at": f"c{i}"})
        assert read(times, one)[1] == [False]
    assert len(times.tables) == MAX_TABLES


def test_the_zone_given_is_the_blocks_and_local_is_the_regions():
    times = UploadTimes("America/Bogota")
    zones = [times.zone(block(["x"], zone=z)) for z in (None, "local", "UTC", "Europe/Paris")]
    assert zones == ["America/Bogota", "America/Bogota", "UTC", "Europe/Paris"]


@pytest.mark.parametrize(("zone", "texts", "expected"), [
    (None, ["2026-03-05T10:00Z"], ["2026-03-05T10:00Z"]),
    ("local", ["2026-03-05T10:00Z"], ["2026-03-05T10:00"]),
    ("local", ["2026-03-05 10:00+02:00", "5 March 2026 10:00"], ["2026-03-05 10:00", "2026-03-05T10:00:00"]),
])  # fmt: skip
def test_offsets_that_the_caller_calls_wrong_are_dropped(zone, texts, expected):
    assert read(UploadTimes("UTC"), block(texts, zone=zone))[0] == expected


def test_instants_are_counted_by_local_time():
    times = UploadTimes("America/Bogota")
    times.note(np.datetime64("2026-03-05T04:10:00").astype(np.int64) + np.arange(50) * 86_400)
    (warning,) = times.warnings([])
    assert (warning.code, warning.params["n"], warning.params["at"]) == (
        "one_time_of_day",
        50,
        ["23:10"],
    )
