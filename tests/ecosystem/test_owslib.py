"""OWSLib's clients of OGC API - Features and EDR, through nginx with TLS and Basic authentication."""

from __future__ import annotations

import json

import pytest

from tests.ecosystem.pictures import keep_hours

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def clients(proxied):
    """Clients of a reader; what `verify` is given, OWSLib's clients of OGC API leave aside."""
    try:
        from owslib.ogcapi.edr import EnvironmentalDataRetrieval
        from owslib.ogcapi.features import Features
        from owslib.util import Authentication
    except ImportError:
        pytest.skip("there is no OWSLib")
    who = Authentication("owslib", proxied.keys["reader"])
    url = f"{proxied.url}/ogc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(proxied.certificate))
        yield Features(url, auth=who), EnvironmentalDataRetrieval(url, auth=who)


def test_collections_and_items(clients, proxied):
    features, _ = clients
    assert (
        "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core"
        in (features.conformance()["conformsTo"])
    )
    names = set(features.feature_collections())
    assert {"town.hotspots", "town.zones", "town.streets", "town.neighbourhoods"} <= names
    assert "town.incidents" not in names
    assert features.collection("town.hotspots")["extent"]["temporal"]["grid"] == {
        "resolution": "PT1H"
    }
    page = features.collection_items(
        "town.hotspots", datetime_="2019-12-28T03:00:00Z", limit=2, bbox=[-75, 4, -73, 5]
    )
    assert len(page["features"]) == page["numberReturned"] == 2
    one = features.collection_item("town.zones", "1")
    assert one["properties"]["rank"] == 1


def test_the_density_as_coverages(clients):
    _, edr = clients
    box = edr.collection("town.density")["extent"]["spatial"]["bbox"][0]
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    found = edr.query_data(
        "town.density",
        "position",
        coords=f"POINT({middle[0]} {middle[1]})",
        datetime_="2019-12-28T00:00:00Z/2019-12-28T12:00:00Z",
    )
    coverage = json.loads(found) if isinstance(found, bytes) else found
    times = coverage["domain"]["axes"]["t"]["values"]
    assert (times[0], len(times)) == ("2019-12-27T19:00:00-05:00", 12)
    keep_hours(coverage, "owslib.png")
