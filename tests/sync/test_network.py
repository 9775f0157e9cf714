"""Sources inside: private networks, a proxy and a certificate authority that an operator names."""

import base64
import logging
import socket
import ssl

import pytest

from app.core.errors import SourceFailed
from app.core.settings import Settings
from app.sync.connectors.address import check_address
from app.sync.connectors.network import Route, route_to, tls_context
from app.sync.connectors.portal import PortalClient
from tests.support.services.inside import Authority, ConnectProxy, proxying
from tests.support.services.portals import Portals, serve

HOST = "rms.police.example"
PUBLIC = "93.184.215.14"
INSIDE = {"source_networks": ["127.0.0.0/8"]}
PATH = "/files/a.json"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def _server(authority):
    portals = Portals(files={PATH: b'{"rows": 3}'})
    certificate, key = authority.issue(HOST)
    server = serve(portals, ssl_certfile=certificate, ssl_keyfile=key)
    yield portals
    server.should_exit = True


@pytest.fixture
def portal(_server):
    """A portal with a certificate of the city's own authority for `HOST`."""
    _server.requests.clear()
    _server.redirects.clear()
    return _server


@pytest.fixture
def names(monkeypatch):
    """{host: address} beside what this machine knows; None: unknown."""
    known = {HOST: "127.0.0.1"}
    real = socket.getaddrinfo

    def resolve(host, port, *args, **options):
        if host not in known:
            return real(host, port, *args, **options)
        if known[host] is None:
            raise socket.gaierror("Name or service not known")
        return real(known[host], port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.fixture
def ask(portal, authority, names):
    """Ask the portal with these settings; its certificate's authority is known unless said otherwise."""

    def asking(host=HOST, **settings):
        known = {"source_ca_file": authority.ca_file, "sync_max_retries": 0, **settings}
        url = f"https://{host}:{portal.port}{PATH}"
        with PortalClient(Settings(**known), url, {}, lambda: None) as client:
            return client.json(url, {})

    return asking


@pytest.fixture
def proxy():
    with proxying(ConnectProxy({HOST: "127.0.0.1", PUBLIC: "127.0.0.1"})) as made:
        yield made


def through(proxy, **more):
    return {"source_proxy": f"http://ann:p%40ss@127.0.0.1:{proxy.port}", **more}


def test_a_host_inside_is_asked_once_its_network_is_allowed(ask, portal):
    assert ask(**INSIDE) == {"rows": 3}
    for refused in ({}, {"source_networks": ["10.0.0.0/8"]}, {"source_hosts": ["other.example"]}):
        portal.requests.clear()
        with pytest.raises(SourceFailed, match="HOTSLOT_SOURCE_NETWORKS") as caught:
            ask(**refused)
        assert (caught.value.code, portal.requests) == ("private_address", [])


def test_a_certificate_of_the_citys_authority_needs_its_file(ask, portal):
    with pytest.raises(SourceFailed, match="CERTIFICATE_VERIFY_FAILED"):
        ask(**INSIDE, source_ca_file=None)
    assert portal.requests == []


def test_the_public_authorities_stay_trusted(authority):
    public = tls_context(Settings()).cert_store_stats()["x509_ca"]
    both = tls_context(Settings(source_ca_file=authority.ca_file)).cert_store_stats()["x509_ca"]
    assert (both - public, public > 50) == (1, True)


def test_a_name_that_is_allowed_may_be_private_but_not_this_machine(ask, names):
    with pytest.raises(SourceFailed, match="not a public address"):
        ask(source_hosts=[HOST])
    names[HOST] = "10.1.2.3"
    assert route_to(HOST, 443, Settings(source_hosts=[HOST])) == Route(["10.1.2.3"], proxied=False)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "fd00:ec2::254", "fd20:ce::254",
     "fe80::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "2002:a9fe:a9fe::", "::a9fe:a9fe",
     "fd12:3456::a9fe:a9fe", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "::",
     "224.0.0.1", "ff02::1", "255.255.255.255"],
)  # fmt: skip
def test_metadata_and_link_local_addresses_are_never_allowed(address):
    everything = ["host", "0.0.0.0/0", "::/0", "169.254.0.0/16", "fc00::/7", address]
    with pytest.raises(SourceFailed, match="never allowed"):
        check_address(address, "host", allow_loopback=True, allowed=everything)


def test_a_named_host_is_left_to_the_proxy_by_its_name(ask, names, proxy):
    names[HOST] = None
    assert ask(**through(proxy, source_hosts=[HOST])) == {"rows": 3}
    ((target, secret),) = proxy.asked
    assert target.startswith(f"{HOST}:")
    assert base64.b64decode(secret.removeprefix("Basic ")) == b"ann:p@ss"


def test_another_host_is_resolved_and_judged_here_and_the_proxy_gets_the_address(ask, names, proxy):
    names[HOST] = PUBLIC
    assert ask(**through(proxy)) == {"rows": 3}
    assert [target.rpartition(":")[0] for target, _ in proxy.asked] == [PUBLIC]


@pytest.mark.parametrize(
    ("address", "code"), [("10.0.0.1", "private_address"), (None, "unknown_host")]
)
def test_what_cannot_be_judged_or_is_private_is_not_asked_of_the_proxy(
    ask, names, proxy, address, code
):
    names[HOST] = address
    with pytest.raises(SourceFailed, match="HOTSLOT_SOURCE_HOSTS") as refused:
        ask(**through(proxy))
    assert (refused.value.code, proxy.asked) == (code, [])


def test_a_named_host_that_resolves_to_metadata_is_refused_beside_a_proxy(ask, names, proxy):
    names[HOST] = "169.254.169.254"
    with pytest.raises(SourceFailed, match="never allowed"):
        ask(**through(proxy, source_hosts=[HOST]))
    assert proxy.asked == []


def test_a_redirect_to_an_address_inside_is_refused_beside_a_proxy(ask, names, portal, proxy):
    names[HOST] = PUBLIC
    portal.redirects[PATH] = "https://10.0.0.1/x"
    with pytest.raises(SourceFailed, match=r"10\.0\.0\.1 is not a public address"):
        ask(**through(proxy))
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("direct", [HOST, ".police.example", "example", "127.0.0.0/8"])
def test_what_needs_no_proxy_is_asked_directly(ask, proxy, direct):
    assert ask(**through(proxy, **INSIDE, source_no_proxy=[direct])) == {"rows": 3}
    assert proxy.asked == []


@pytest.mark.parametrize("direct", ["ice.example", "10.0.0.0/8", "rms"])
def test_other_hosts_go_through_the_proxy(names, direct):
    names[HOST] = PUBLIC
    settings = Settings(source_proxy="http://proxy.example:3128", source_no_proxy=[direct])
    assert route_to(HOST, 443, settings) == Route([PUBLIC], proxied=True)


def test_a_host_that_needs_no_proxy_is_not_left_to_it_when_unknown(names):
    names[HOST] = None
    settings = Settings(
        source_proxy="http://p.example", source_no_proxy=[HOST], source_hosts=[HOST]
    )
    with pytest.raises(SourceFailed, match="no address"):
        route_to(HOST, 443, settings)


@pytest.mark.parametrize(
    ("status", "said"), [(407, "user or password"), (403, "refuses this host")]
)
def test_a_proxy_that_refuses_is_named_without_its_password(
    ask, names, proxy, caplog, status, said
):
    names[HOST], proxy.status = PUBLIC, status
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SourceFailed, match=said) as refused:
        ask(**through(proxy))
    assert len(proxy.asked) == 1
    written = f"{refused.value.message}{caplog.text}{Settings(**through(proxy))!r}"
    for secret in ("p@ss", "p%40ss", base64.b64encode(b"ann:p@ss").decode()):
        assert secret not in written


def test_proxies_and_authorities_of_the_environment_do_not_count(
    ask, portal, proxy, authority, monkeypatch
):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert ask(**INSIDE) == {"rows": 3}
    assert proxy.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    with pytest.raises(SourceFailed, match="CERTIFICATE_VERIFY_FAILED"):
        ask(**INSIDE, source_ca_file=None)


def test_a_proxy_that_is_overloaded_is_asked_again(ask, names, proxy):
    names[HOST], proxy.status = PUBLIC, 503
    with pytest.raises(SourceFailed, match="gave up after 3 attempts: the proxy"):
        ask(**through(proxy, sync_max_retries=2, sync_backoff_s=0.01))
    assert len(proxy.asked) == 3


def test_a_proxy_may_itself_be_reached_by_tls(ask, names, authority):
    names[HOST] = PUBLIC
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("127.0.0.1"))
    with proxying(ConnectProxy({PUBLIC: "127.0.0.1"}, tls=tls)) as proxy:
        assert ask(source_proxy=f"https://127.0.0.1:{proxy.port}") == {"rows": 3}
        assert [secret for _, secret in proxy.asked] == [None]
