"""A CKAN datastore is read by the rows received, and read again if it changed meanwhile."""

import json

import pytest

from app.core.errors import SourceFailed
from app.sync.connectors.ckan import ckan_pages
from app.sync.spec import SourceSpec
from tests.support.services.portals import RESOURCE

COLUMNS = {"category": "kind", "external_id": "nr"}
SEARCH = "/api/3/action/datastore_search"


@pytest.fixture
def resource(portals):
    portals.records = [{"_id": k, "kind": "x", "nr": str(k)} for k in range(5)]

    def make(dataset=RESOURCE):
        return SourceSpec("ckan", f"{portals.url}/", dataset, columns=COLUMNS, page_rows=4)

    return make


def ids(page):
    return [int(json.loads(line)["external_id"]) for line in b"".join(page.body or ()).splitlines()]


def test_the_offset_follows_the_rows_received_and_an_empty_page_ends(portals, client, resource):
    portals.rows_max = 2
    pages = list(ckan_pages(client, resource(), {}))
    assert [ids(page) for page in pages] == [[0, 1], [2, 3], [4], []]
    assert portals.asked(SEARCH, "offset") == ["0", "2", "4", "5"]
    assert [page.share for page in pages] == [0.4, 0.8, 1.0, 1.0]
    assert pages[-1].state == {"complete": portals.modified}


def test_a_broken_sweep_goes_on_only_in_the_same_state_of_the_resource(portals, client, resource):
    first = next(iter(ckan_pages(client, resource(), {})))
    assert first.state == {"modified": portals.modified, "offset": 4}
    assert [ids(page) for page in ckan_pages(client, resource(), first.state)] == [[4], []]
    portals.modified = "2024-06-01T00:00:00"
    again = next(iter(ckan_pages(client, resource(), first.state)))
    assert ids(again) == [0, 1, 2, 3]


def test_a_resource_that_changes_while_it_is_read_is_not_complete(portals, client, resource):
    pages = ckan_pages(client, resource(), {})
    next(pages)
    portals.modified = "2024-06-01T00:00:00"
    *_, last = pages
    assert last.state == {}


def test_a_package_gives_its_only_resource_of_data(portals, client, resource):
    assert [ids(page) for page in ckan_pages(client, resource("crimes"), {})] == [
        [0, 1, 2, 3],
        [4],
        [],
    ]
    portals.records = []
    portals.files["/files/incidents.csv"] = b"kind,nr\nx,1\n"
    (page,) = (
        (page.content_type, b"".join(page.body))
        for page in ckan_pages(client, resource("crimes"), {})
    )
    assert page == ("text/csv", b"kind,nr\nx,1\n")


def test_a_refusal_is_named_by_its_action(portals, client, resource):
    portals.error = {"__type": "Not Found Error", "message": "Not found"}
    with pytest.raises(SourceFailed, match=r"^resource_show: Not found$"):
        next(iter(ckan_pages(client, resource(), {})))
