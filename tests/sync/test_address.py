"""Where a source may lie, who may say so, and what a preset holds."""

import socket

import pytest
from fastapi.testclient import TestClient

from app.core.errors import InvalidInput, SourceFailed
from app.core.zones import zone
from app.main import create_app
from app.regions.service import add_region
from app.sync.connectors.address import check_address, checked_url, public_addresses
from app.sync.connectors.portal import PortalClient
from app.sync.presets import PRESETS
from app.sync.service import add_source, preset
from app.sync.spec import SourceSpec
from tests.support.services.portals import SOCRATA_PATH, TOKEN, socrata_row


@pytest.mark.parametrize(
    "url",
    [
        "http://data.example.org/a.csv",
        "ftp://data.example.org/a.csv",
        "file:///etc/passwd",
        "https://user:word@data.example.org/a.csv",
        "https:///a.csv",
        "http://127.0.0.1:80/a.csv",
        "https://data.example.org:0/a.csv",
        "https://data.example.org:99999/a.csv",
    ],
)
def test_an_address_that_is_not_plain_https_is_refused(engine, settings, url):
    add_region(engine, "guarded", timezone="UTC")
    with pytest.raises(InvalidInput) as caught:
        add_source(engine, settings, "guarded", "s", SourceSpec("file", url))
    assert caught.value.field == "url"


REFUSED = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "127.255.255.254"),
    *("0.0.0.0", "0.1.2.3", "100.64.0.1", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.0.192"),
    *("192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:127.0.0.1"),
    *("::ffff:192.0.0.192", "::ffff:0:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808"),
    *("64:ff9b:1::7f00:1", "64:ff9b:1:ffff::808:808", "2002:7f00:1::", "2002:a9fe:a9fe::"),
    *("2002:808:808::", "2001:0:7f00:1::1", "2001:2::1", "2001:10::1", "2001:20::1"),
    *("2001:db8::1", "3fff::1", "5f00::1", "100::1", "2620:4f:8000::1", "fc00::1", "fd00::1"),
    *("fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "4000::1", "8000::1"),
    *("2606:4700::1%eth0", "not an address"),
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_plainly_public_is_refused(address):
    with pytest.raises(SourceFailed, match="not a public address"):
        check_address(address, "host", allow_loopback=False)


@pytest.mark.parametrize(
    "host",
    ["0x7f.1", "2130706433", "017700000001", "127.1", "0", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
     "[fec0::1]", "192.0.0.192", "localhost", "a..b", "x" * 70],
)  # fmt: skip
def test_a_host_is_refused_however_it_is_spelt(host):
    with pytest.raises(SourceFailed) as caught:
        public_addresses(
            checked_url(f"https://{host}/a", allow_loopback=False).host, 443, allow_loopback=False
        )
    assert caught.value.code in ("private_address", "unknown_host")


def test_the_address_that_was_judged_is_the_one_connected_to(settings, monkeypatch):
    """A name that resolves to this machine from its second look-up on (DNS rebinding)."""
    answers = []
    real = socket.getaddrinfo

    def resolve(host, port, *args, **options):
        if host != "rebound.example":
            return real(host, port, *args, **options)
        answers.append("127.0.0.1" if answers else "93.184.215.14")
        return real(answers[-1], port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    asked = settings.model_copy(update={"sync_max_retries": 0, "sync_request_timeout_s": 1.0})
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.settimeout(0.2)
        url = f"https://rebound.example:{inside.getsockname()[1]}/x"
        with PortalClient(asked, url, {}, lambda: None) as client:
            client._client.timeout = 1.0
            with pytest.raises(SourceFailed):
                client.json(url, {})
        with pytest.raises(TimeoutError):
            inside.accept()
    assert answers == ["93.184.215.14"]


def test_public_addresses_and_loopback_by_a_setting():
    for address in ("93.184.215.14", "::ffff:93.184.215.14", "2606:4700::1111", "2a00:1450::1"):
        check_address(address, "host", allow_loopback=False)
    check_address("127.0.0.1", "host", allow_loopback=True)
    with pytest.raises(SourceFailed):
        check_address("10.0.0.1", "host", allow_loopback=True)
    with pytest.raises(InvalidInput):
        checked_url("http://data.example.org/a", allow_loopback=True)


def test_a_source_whose_host_is_this_machine_is_not_asked(portals, socrata):
    city = socrata()
    run = city.sync(sync_allow_loopback=False)
    assert (run.status, portals.requests) == ("failed", [])


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/x", "https://10.0.0.1/x", "file:///etc/passwd", "gopher://a/"]
)
def test_a_redirect_inwards_is_not_followed(portals, socrata, target):
    portals.redirects[SOCRATA_PATH] = target
    run = socrata().sync()
    assert run.status == "failed"
    assert "redirected" in run.message or "not a public address" in run.message


def test_a_redirect_is_followed_without_the_token_to_another_host(portals, socrata):
    portals.rows = [socrata_row(0)]
    other = portals.url.replace("127.0.0.1", "localhost")
    portals.redirects["/old.json"] = other + SOCRATA_PATH
    city = socrata(token="portal", path="/old.json")
    assert city.sync().metrics["accepted"] == 1
    seen = {path: headers.get("x-app-token") for path, _, headers in portals.requests}
    assert seen == {"/old.json": TOKEN, SOCRATA_PATH: None}


@pytest.mark.slow
def test_no_request_names_an_address(settings, engine):
    add_region(engine, "http", timezone="UTC")
    with TestClient(create_app(settings, engine)) as client:
        base = "/v1/regions/http/sync-runs"
        for body in ({"url": "https://evil.example/x"}, {"source": "a", "kind": "file"}):
            assert client.post(base, json=body).status_code == 422
        none = client.post(base, json={})
        assert (none.status_code, none.json()["code"]) == (409, "no_source")
        assert client.post(base, json={"source": "none"}).status_code == 404
        sources = [p for p in client.get("/openapi.json").json()["paths"] if "source" in p]
        assert sources == []


def test_presets_are_whole(engine, settings):
    assert len(PRESETS) >= 8
    add_region(engine, "presets", timezone="UTC")
    for name, known in PRESETS.items():
        zone(known.timezone)
        assert known.licence
        assert known.title
        more = {"dataset": "west-yorkshire", "month_times": "spread"} if name == "police-uk" else {}
        made = add_source(engine, settings, "presets", name, preset(name, **more))
        assert made.spec.preset == name
    with pytest.raises(InvalidInput, match="choose one of boston"):
        preset("atlantis")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "ftp"}, "kind"),
        ({"columns": {}}, "columns"),
        ({"columns": {"colour": "a"}}, "columns"),
        ({"columns": {"category": "vict_age"}}, "columns"),
        ({"overlap_days": -1.0}, "overlap_days"),
        ({"page_rows": 0}, "page_rows"),
        ({"deleted_when": "gone"}, "deleted_when"),
        ({"deleted_when": "a=b", "columns": {"category": "c"}}, "deleted_when"),
        ({"kind": "ckan"}, "dataset"),
        ({"esri_dates": "mars"}, "esri_dates"),
        ({"url": "https://a.org/{month}.zip"}, "first_month"),
        ({"kind": "arcgis", "changed": "D", "overlap_days": 0.5}, "overlap_days"),
    ],
)
def test_a_wrong_description_is_refused_by_its_part(changes, field):
    known = {"kind": "socrata", "url": "https://a.org/x", "columns": {"external_id": "n"}}
    with pytest.raises(InvalidInput) as caught:
        SourceSpec(**{**known, **changes}).checked()
    assert caught.value.field == field
