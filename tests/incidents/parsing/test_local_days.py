"""A date alone is its local day, in every zone, as the standard library has it."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from app.incidents.parsing.instants import read_instants
from app.incidents.parsing.row_errors import RowErrors

ZONES = sorted(zoneinfo.available_timezones() - {"Factory", "localtime"})


def read(texts, timezone="UTC", **choices):
    errors = RowErrors(len(texts))
    raw = pd.Series(texts, dtype=object)
    found = read_instants(
        raw, "occurred_to", timezone=timezone, now_s=2**33, errors=errors, **choices
    )
    return found, errors


def day_start(day, zone):
    """The first instant of a local day, by steps of a minute over a day: zones change at minutes."""
    first = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 86_400
    for second in range(first, first + 2 * 86_400 + 1, 900):
        if datetime.fromtimestamp(second, zone).date() >= day:
            return second
    raise AssertionError(day)


@settings(max_examples=25)
@given(st.sampled_from(ZONES), st.dates(date(2015, 1, 1), date(2026, 12, 1)))
def test_a_date_is_the_local_day_from_its_first_instant_to_the_next_days(timezone, day):
    if timezone == "Pacific/Apia" and day.year < 2012:
        return
    found, errors = read([day.isoformat()], timezone, date_only=True)
    assert not errors.bad.any()
    zone = ZoneInfo(timezone)
    assert found.time_s[0] == day_start(day, zone)
    assert found.day_ends()[0] == day_start(day + timedelta(days=1), zone)
