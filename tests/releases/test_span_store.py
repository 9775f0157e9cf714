"""Where data begin, with late reports and placeholder dates before them; as analysts and readers see it."""

from datetime import UTC, datetime, timedelta

from app.regions.store import list_regions
from app.releases.span_store import begin_of_data
from tests.support.simulated.small_region import row


def test_single_incidents_of_decades_ago_are_no_beginning(place, engine):
    before = {role: place(role, "GET", "").json() for role in ("analyst", "reader")}
    assert before["analyst"]["begins_at"] == before["analyst"]["first_at"]
    assert before["reader"]["begins_at"] == before["reader"]["first_at"]
    early = [datetime(1970 + 3 * k, 1, 1, 10, tzinfo=UTC) for k in range(14)]
    late = [datetime(2024, 1, 20, tzinfo=UTC) + timedelta(minutes=k) for k in range(6)]
    place("ingester", "POST", "/incidents", json=[row(at) for at in (*early, *late)])
    for role, shown in before.items():
        after = place(role, "GET", "").json()
        assert after["incidents"] == 320
        assert after["first_at"].startswith("1970-01-01T")
        assert after["begins_at"] == shown["begins_at"]


def test_too_few_to_say(place, engine):
    with engine.connect() as connection:
        region = list_regions(connection)[0]
        long_before = datetime(1990, 1, 1, tzinfo=UTC)
        asked = {"zone": region.timezone, "n": 1, "last_at": long_before}
        assert begin_of_data(connection, region.key, **asked, release=(long_before, 1)) is None
