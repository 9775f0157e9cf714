"""A run stores page by page, says what it refused, and needs the token that its source names."""

import pytest
from pydantic import SecretStr

from app.core.errors import SourceFailed
from app.core.settings import Settings
from app.sync.execute import CONNECTORS, DROPS, MAX_STATE_BYTES, TOKEN_HEADERS, token_headers
from app.sync.spec import KINDS, SourceSpec
from tests.support.services.portals import socrata_row


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("socrata", {"X-App-Token": "secret"}),
        ("arcgis", {"X-Esri-Authorization": "Bearer secret"}),
        ("ckan", {"Authorization": "secret"}),
        ("file", {"Authorization": "Bearer secret"}),
    ],
)
def test_a_token_goes_into_the_header_of_its_api(kind, header):
    settings = Settings(sync_tokens={"portal": SecretStr("secret")})
    spec = SourceSpec(kind, "https://x.org", token="portal")
    assert token_headers(settings, spec) == header
    assert token_headers(settings, SourceSpec(kind, "https://x.org")) == {}


def test_a_token_that_is_not_set_is_named_and_every_kind_has_its_header():
    with pytest.raises(SourceFailed, match="sync_tokens has no token 'other'") as refused:
        token_headers(Settings(), SourceSpec("ckan", "https://x.org", token="other"))
    assert refused.value.code == "token"
    assert set(CONNECTORS) == set(TOKEN_HEADERS)
    assert set(CONNECTORS) ^ set(DROPS) == set(KINDS)


def test_rejected_rows_are_counted_by_reason_in_the_outcome(portals, socrata):
    rows = [socrata_row(n) for n in range(30)]
    for row in rows[:3]:
        row["latitude"] = "200"
    rows[5]["date"] = "yesterday"
    portals.rows = rows
    run = socrata(page_rows=100).sync()
    assert (run.status, run.metrics["accepted"], run.metrics["rejected"]) == ("succeeded", 26, 4)
    told = run.message.partition("; rejected: ")[2]
    assert [int(part.rpartition(" ")[2]) for part in told.split(", ")] == [3, 1]


@pytest.mark.parametrize(("n", "status"), [(19, "succeeded"), (20, "failed")])
def test_a_first_page_of_nothing_but_rejected_rows_means_a_wrong_description(
    portals, socrata, n, status
):
    portals.rows = [socrata_row(k, latitude="200") for k in range(n)]
    city = socrata(page_rows=100)
    run = city.sync()
    assert run.status == status
    if status == "failed":
        assert "all 20 first rows are rejected: latitude: " in run.message
        portals.rows = [socrata_row(1)]
        assert city.sync().metrics["received"] == 1, "nothing of the page was stored"


def test_a_cursor_that_a_portal_makes_endless_is_not_stored(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(3)]
    portals.rows[2][":id"] = "row-" + "9" * MAX_STATE_BYTES
    city = socrata()
    run = city.sync()
    assert (run.status, "cursor is too long" in run.message) == ("failed", True)
    assert city.stored() == {}
