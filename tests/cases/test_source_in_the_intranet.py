"""A source in a private network: refused when it is added, or allowed by an operator (case 44)."""

import pytest

from app.core.errors import InvalidInput, SourceFailed
from app.regions.store import get_region
from app.sync.connectors.address import check_address
from app.sync.service import add_source
from app.sync.spec import SourceSpec
from app.sync.store import list_sources

URL = "https://10.1.2.3/arcgis/rest/services/Crime/FeatureServer/0"

COLUMNS = {
    "occurred_at": "DATE", "longitude": "geometry.x", "latitude": "geometry.y", "category": "KIND"
}  # fmt: skip


def added(engine, settings, region):
    spec = SourceSpec(kind="arcgis", url=URL, columns=COLUMNS)
    return add_source(engine, settings, region, "rms", spec)


def test_a_private_address_is_refused_at_once_and_the_way_out_is_named(doors, engine, settings):
    door = doors()
    with pytest.raises(InvalidInput, match="HOTSLOT_SOURCE_HOSTS") as refused:
        added(engine, settings, door.region)
    assert (refused.value.field, refused.value.code) == ("url", "private_address")
    assert names(engine, door.region) == []


def names(engine, region):
    with engine.connect() as connection:
        return [
            source.name for source in list_sources(connection, get_region(connection, region).key)
        ]


@pytest.mark.parametrize("allowed", ["10.1.2.3", "10.1.0.0/16"])
def test_an_operator_can_allow_it(doors, engine, settings, allowed):
    door = doors()
    added(engine, settings.model_copy(update={"source_hosts": [allowed]}), door.region)
    assert names(engine, door.region) == ["rms"]


@pytest.mark.parametrize("allowed", [[], ["10.2.0.0/16"], ["rms.example"], ["0.1.2.3"]])
def test_others_stay_refused(allowed):
    with pytest.raises(SourceFailed):
        check_address("10.1.2.3", "10.1.2.3", allow_loopback=False, allowed=allowed)
    check_address(
        "10.1.2.3", "RMS.police.example", allow_loopback=False, allowed=["rms.police.example"]
    )
