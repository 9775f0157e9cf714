"""Incremental reading of a Socrata dataset: nothing lost, nothing twice, whatever the portal does."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.errors import SourceFailed
from app.sync.connectors.socrata import MAX_RESTARTS, _ended, socrata_pages
from app.sync.spec import SourceSpec
from tests.support.services.portals import COLUMNS, SOCRATA_PATH, TOKEN, http_date, socrata_row


def ids(*numbers):
    return {str(n): 1 for n in numbers}


def test_pages_then_only_what_changed(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(10)]
    city = socrata()
    first = city.sync()
    assert (first.status, first.progress) == ("succeeded", 1.0), first.message
    assert (first.metrics["received"], first.metrics["accepted"]) == (10, 10)
    assert first.metrics["pages"] >= 4
    assert city.stored() == ids(*range(10))

    again = city.sync()
    assert (again.metrics["accepted"], again.metrics["received"]) == (
        0,
        1,
    )  # the newest, looked at again

    portals.rows[2] = socrata_row(2, changed=50, kind="robbery")
    portals.rows.append(socrata_row(10, changed=51))
    portals.requests.clear()
    later = city.sync()
    assert (later.metrics["accepted"], later.metrics["corrected"]) == (2, 1)
    assert later.metrics["received"] == 3
    assert city.stored() == ids(*range(11))
    assert all(":updated_at >= '" in where for where in portals.asked(SOCRATA_PATH, "$where"))


def test_the_overlap_catches_what_was_changed_out_of_order(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(4)]
    careful = socrata(overlap_days=1.0)
    hasty = socrata(overlap_days=0.0)
    careful.sync(), hasty.sync()
    portals.rows.append(socrata_row(4, changed=-3600))  # committed late, stamped early
    careful.sync(), hasty.sync()
    assert careful.stored() == ids(*range(5))
    assert hasty.stored() == ids(*range(4))


def test_fields_without_a_value_are_refused_by_row_not_by_page(portals, socrata):
    portals.rows = [socrata_row(0), *(socrata_row(n, latitude=None) for n in (1, 2, 3, 4))]
    run = socrata().sync()
    assert (run.status, run.metrics["accepted"], run.metrics["rejected"]) == ("succeeded", 1, 4)
    assert run.message.endswith("rejected: missing 4")


def test_a_source_that_is_described_wrongly_fails_at_once(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(30)]
    city = socrata(columns={**COLUMNS, "occurred_at": "kind"}, page_rows=25)
    run = city.sync()
    assert run.status == "failed"
    assert "all 26 first rows are rejected: occurred_at" in run.message
    assert city.stored() == {}
    unknown = socrata(columns={**COLUMNS, "category": "colour"}).sync()
    assert "status 400: No such column: colour" in unknown.message


@pytest.mark.parametrize(
    "fault", [(500, {}), (202, {}), (429, {"retry-after": "0"}), (503, {}), "cut", "junk"], ids=str
)
def test_what_breaks_once_is_tried_again(portals, socrata, fault):
    portals.rows = [socrata_row(n) for n in range(7)]
    portals.faults.extend([fault, fault])
    city = socrata()
    run = city.sync()
    assert (run.status, run.metrics["accepted"]) == ("succeeded", 7), run.message
    assert city.stored() == ids(*range(7))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_long_wait_is_left_to_the_next_run(portals, socrata, form):
    told = "600" if form == "seconds" else http_date(datetime.now(UTC) + timedelta(minutes=10))
    portals.rows = [socrata_row(n) for n in range(7)]
    city = socrata()
    portals.faults.append("pass")
    portals.faults.append((429, {"retry-after": told}))
    run = city.sync()
    assert run.status == "failed"
    assert "asks to wait" in run.message
    assert len(city.stored()) == 4  # the first page is kept
    portals.requests.clear()
    assert city.sync().status == "succeeded"
    assert portals.asked(SOCRATA_PATH, "$offset")[0] == "3"  # and not read again
    assert city.stored() == ids(*range(7))


def test_retries_end(portals, socrata):
    portals.rows = [socrata_row(0)]
    portals.faults.extend([(502, {})] * 9)
    run = socrata().sync()
    assert (run.status, "gave up after 6 attempts" in run.message) == ("failed", True)


def test_a_row_that_goes_while_pages_advance_hides_no_other(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(9)]

    def removed_once(query):
        if int(query["$offset"]) > 0 and len(portals.rows) == 9:
            del portals.rows[0]

    portals.before_rows = removed_once
    city = socrata()
    run = city.sync()
    assert run.status == "succeeded"
    assert city.stored() == ids(*range(9))


def test_a_withdrawn_row_is_erased(portals, socrata):
    portals.rows = [socrata_row(n, status="open") for n in range(4)]
    city = socrata(deleted_when="status=withdrawn")
    city.sync()
    portals.rows[1] = socrata_row(1, changed=60, status="withdrawn")
    run = city.sync()
    assert run.metrics["deleted"] == 1
    assert city.stored() == ids(0, 2, 3)


def test_a_token_is_sent_and_never_shown(portals, socrata, caplog):
    portals.rows = [socrata_row(0)]
    portals.needs_token = True
    with caplog.at_level("DEBUG"):
        without = socrata().sync()
        city = socrata(token="portal")
        assert city.sync().status == "succeeded"
    assert without.message == (
        "token: status 403: refused, a valid token may be needed: A valid app token is required"
    )
    assert TOKEN not in caplog.text
    assert TOKEN not in str(city.source.spec.to_json())
    unknown = socrata(token="other").sync()
    assert "has no token 'other'" in unknown.message


def test_rows_without_an_id_are_counted_over_a_whole_sweep(portals, socrata):
    columns = {"occurred_at": "date", "longitude": "longitude", "latitude": "latitude"}
    twin = {"date": "2024-03-01T10:30:00.000", "latitude": "43.7"}
    portals.rows = [socrata_row(n, **twin) for n in range(7)]  # seven equal ones, on three pages
    city = socrata(columns=columns)
    assert city.sync().metrics["accepted"] == 7
    portals.rows.append(socrata_row(7, **twin))
    assert city.sync().metrics["accepted"] == 1
    assert city.stored() == {None: 8}


def test_all_of_it_again_on_demand(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(5)]
    city = socrata()
    city.sync()
    portals.rows.append(socrata_row(5, changed=-9999))
    assert city.sync().metrics["accepted"] == 0
    run = city.sync(full=True)
    assert (run.metrics["received"], run.metrics["accepted"]) == (6, 1)


def test_a_page_that_is_too_large_is_refused(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(5)]
    run = socrata().sync(sync_max_page_bytes=200)
    assert (run.status, "over 200 bytes" in run.message) == ("failed", True)


def test_a_deadline_ends_a_run_and_the_next_goes_on(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(5)]
    city = socrata()
    assert "deadline" in city.sync(sync_deadline_s=0.0).message
    assert city.sync().metrics["accepted"] == 5


@pytest.mark.parametrize(
    ("high", "since"),
    [
        ("2024-03-10T02:30:00.000Z", "2024-03-08T14:30:00.000Z"),
        ("2024-03-10T02:30:00.000", "2024-03-08T14:30:00.000"),
        ("2024-03-01", "2024-02-28T12:00:00.000"),
    ],
)
def test_the_next_sweep_begins_the_overlap_before_the_newest_change(high, since):
    spec = SourceSpec("socrata", "https://x.org/a.json", columns=COLUMNS, overlap_days=1.5)
    assert _ended(spec, high) == {"since": since, "high": high}
    assert _ended(spec, None) == {}
    with pytest.raises(SourceFailed, match=":updated_at holds 'soon', which is not a time"):
        _ended(spec, "soon")


def test_a_dataset_that_changes_under_every_page_is_given_up(portals, client):
    """Rows are put before all others as fast as pages are read."""
    portals.rows = [socrata_row(n) for n in range(100, 110)]

    def shift(query):
        if query["$offset"] != "0":
            portals.rows.append(socrata_row(99 - len(portals.rows)))

    portals.before_rows = shift
    spec = SourceSpec("socrata", portals.url + SOCRATA_PATH, columns=COLUMNS, page_rows=3)
    pages = socrata_pages(client, spec, {})
    with pytest.raises(SourceFailed, match="changes faster than it can be read"):
        list(pages)
    starts = [int(offset) for offset in portals.asked(SOCRATA_PATH, "$offset")]
    assert starts.count(0) == MAX_RESTARTS + 1


def test_a_source_reads_dates_without_a_time_as_intervals(portals, socrata):
    portals.rows = [socrata_row(n) | {"date": f"2024-03-1{n}"} for n in range(3)]
    lasts = "extract(epoch FROM i.occurred_to - i.occurred_at) / 3600"
    refusing = socrata()
    assert refusing.sync().metrics["rejected"] == 3
    reading = socrata(date_only="interval")
    assert reading.sync().metrics["accepted"] == 3
    assert reading.column(lasts) == [23, 24, 24]
