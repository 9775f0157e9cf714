"""An upload counts every row once, and is stored only into the region that it was read for."""

import pytest
from sqlalchemy import text

from app.core.errors import Conflict
from app.incidents.service import UploadSource, received
from app.incidents.summary import StoreChoices
from app.incidents.uploads.storing import MOST_REJECTED
from app.incidents.uploads.validation import middle_of
from app.regions.service import add_region
from app.regions.store import get_region, outlined

HEAD = "occurred_at,longitude,latitude,category,external_id\n"


def line(k, latitude="4.65"):
    return f"2024-01-05T{k % 24:02d}:{k // 24:02d}:00Z,-74.06,{latitude},theft,i{k}\n"


@pytest.fixture
def region(engine):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions CASCADE"))
    add_region(engine, "read", timezone="UTC")


@pytest.fixture
def reading(engine, settings, region):
    """A function that reads a body to its end, stores nothing yet."""

    def read(lines, **choices):
        changes = {name: choices.pop(name) for name in ("max_errors_echoed",) if name in choices}
        source = UploadSource("text/csv", choices=StoreChoices(**choices))
        body = [(HEAD + "".join(lines)).encode()]
        return received(engine, "read", body, source, settings=settings.model_copy(update=changes))

    return read


def stored(engine, body_read):
    with body_read as upload, engine.begin() as connection:
        return upload.store(connection)


def test_received_is_accepted_and_duplicates_and_rejected(engine, reading):
    lines = [*(line(k) for k in range(10)), line(3), line(11, "95"), line(12, "x")]
    done = stored(engine, reading(lines))
    assert (done.received, done.accepted, done.duplicates, done.rejected) == (13, 10, 1, 2)
    assert sum(done.rejected_by_code.values()) == done.rejected
    assert [error["row"] for error in done.errors] == [12, 13]
    again = stored(engine, reading(lines))
    assert (again.accepted, again.duplicates, again.rejected) == (0, 11, 2)


def test_rejected_rows_are_all_counted_and_the_first_are_named(engine, reading):
    lines = [line(k, "95") for k in range(30)]
    done = stored(engine, reading([line(99), *lines], max_errors_echoed=4))
    assert done.rejected == 30
    assert [error["row"] for error in done.errors] == [2, 3, 4, 5]


def test_equal_rejected_rows_are_known_to_be_repeated(engine, reading):
    stored(engine, reading([line(0), line(1, "95"), line(1, "95"), line(2, "95")]))
    with engine.connect() as connection:
        report = connection.scalar(text("SELECT report FROM uploads"))
    assert report["repeated_rows"] == 1


@pytest.mark.parametrize(
    "change",
    ["UPDATE regions SET revision = revision + 1", "UPDATE regions SET crs = 'EPSG:32617'"],
    ids=["changed", "placed elsewhere"],
)
def test_a_region_that_changed_while_the_file_was_read_gets_nothing(engine, reading, change):
    with reading([line(0)]) as upload:
        with engine.begin() as connection:
            connection.execute(text(change))
        with (
            engine.connect() as connection,
            pytest.raises(Conflict, match=r"send (it|this one) again"),
        ):
            upload.store(connection)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incidents")) == 0


@pytest.mark.parametrize("n_rejected", [2, 3])
def test_a_file_replaces_its_feed_only_if_nearly_all_of_it_was_read(engine, reading, n_rejected):
    n = int(2 / MOST_REJECTED)
    stored(engine, reading([line(k) for k in range(n)]))
    lines = [line(k, "95" if k < n_rejected else "4.65") for k in range(n)]
    body_read = reading(lines, replace="feed")
    if n_rejected == 2:
        assert stored(engine, body_read).received == n
        return
    with pytest.raises(Conflict, match=f"3 of {n} rows are rejected") as refused:
        stored(engine, body_read)
    assert refused.value.params == {"rejected": 3, "received": n}
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incidents")) == n


def test_a_region_lies_in_the_middle_of_its_boundary_or_of_its_incidents(engine, reading):
    with engine.connect() as connection:
        assert middle_of(connection, outlined(connection, get_region(connection, "read"))) is None
    stored(engine, reading([line(k) for k in range(5)]))
    box = {
        "type": "Polygon",
        "coordinates": [[[10, 50], [10.06, 50], [10.06, 50.04], [10, 50.04], [10, 50]]],
    }
    add_region(engine, "bounded", timezone="UTC", boundary=box)
    with engine.connect() as connection:
        found = middle_of(connection, outlined(connection, get_region(connection, "read")))
        bounded = middle_of(connection, outlined(connection, get_region(connection, "bounded")))
    assert found == pytest.approx((-74.06, 4.65), abs=1e-3)
    assert bounded == pytest.approx((10.03, 50.02), abs=1e-3)
