"""A file at a URL is sent again only when it changed, as what its name says it is."""

import gzip

import pytest

from app.core.errors import SourceFailed
from app.sync.connectors.files import conditions, content_type_of, file_pages, known
from app.sync.connectors.portal import Downloaded
from app.sync.spec import SourceSpec

PATH = "/files/crimes.csv"
COLUMNS = {"occurred_at": "when"}
BODY = b"when\n2024-03-01\n"


def pages(portals, client, state, path=PATH):
    """What is in each page while it is current."""
    spec = SourceSpec("file", portals.url + path, columns=COLUMNS)
    return [
        (page, None if page.body is None else b"".join(page.body))
        for page in file_pages(client, spec, state)
    ]


def test_a_file_is_one_page_and_unchanged_then(portals, client):
    portals.files[PATH] = BODY
    ((page, body),) = pages(portals, client, {})
    assert (body, page.content_type, page.content_encoding) == (BODY, "text/csv", None)
    assert page.mapping.columns == COLUMNS
    ((same, nothing),) = pages(portals, client, page.state)
    assert (same.state, nothing, str(same.message)) == (page.state, None, "unchanged")


def test_equal_bytes_under_a_new_etag_are_unchanged_and_the_etag_is_noted(portals, client):
    portals.files[PATH] = BODY
    ((page, _),) = pages(portals, client, {})
    before = {**page.state, "etag": '"older"'}
    ((same, nothing),) = pages(portals, client, before)
    assert (nothing, same.state) == (None, page.state)


@pytest.mark.parametrize("packed", [True, False])
def test_packed_bytes_are_known_by_their_first_ones_not_by_the_name(portals, client, packed):
    path = "/files/crimes.csv.gz"
    portals.files[path] = gzip.compress(BODY) if packed else BODY
    ((page, _),) = pages(portals, client, {}, path)
    assert page.content_encoding == ("gzip" if packed else None)
    assert page.content_type == "text/csv"


def test_a_file_that_is_not_there_fails_the_sweep(portals, client):
    with pytest.raises(SourceFailed, match=r"does not exist \(404\)"):
        pages(portals, client, {})


@pytest.mark.parametrize(
    ("url", "declared", "taken"),
    [
        ("https://x.org/a.geojson", "text/csv", "application/geo+json"),
        ("https://x.org/a.JSON.GZ?format=csv", None, "application/json"),
        ("https://x.org/export?f=.json", "application/geo+json", "application/geo+json"),
        ("https://x.org/a.php", "text/html", "text/csv"),
        ("https://x.org/a.gz", None, "text/csv"),
        ("https://x.org/", None, "text/csv"),
    ],
)
def test_the_type_is_by_suffix_then_by_header_then_csv(url, declared, taken):
    assert content_type_of(url, declared) == taken


def test_a_cursor_holds_what_was_said_and_asks_by_it():
    state = known(Downloaded(etag='"e"', sha256="abc"))
    assert state == {"etag": '"e"', "sha256": "abc"}
    assert conditions(state) == {"If-None-Match": '"e"'}
    assert conditions({"last_modified": "Mon"}) == {"If-Modified-Since": "Mon"}
    assert conditions({}) == {}
