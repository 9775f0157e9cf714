"""SFTP: files are read once from the server whose key was stated, within the same limits."""

import os
import socket

import pytest
from pydantic import SecretStr

from app.core.errors import InvalidInput, SourceFailed
from app.core.settings import Settings
from app.sync.connectors.sftp import SftpAddress, secret_of, sftp_address, sftp_pages
from app.sync.connectors.sftp_session import HOST_KEYS
from app.sync.connectors.visit import Visit
from app.sync.service import add_source
from app.sync.spec import SourceSpec
from tests.support.services.inside import ConnectProxy, proxying
from tests.support.services.portals import COLUMNS
from tests.support.services.sftp import PASSWORD, sftp_server
from tests.sync.conftest import City
from tests.sync.test_folder import csv_of

OTHER_KEY = "SHA256:" + "a" * 43


@pytest.fixture
def server(tmp_path):
    (tmp_path / "inbox").mkdir()
    with sftp_server(tmp_path) as made:
        yield made


@pytest.fixture
def inbox(server):
    return server.root / "inbox"


def settings_of(**more):
    return Settings(
        **{
            "source_networks": ["127.0.0.0/8"],
            "source_settle_s": 0.01,
            "sync_backoff_s": 0.01,
            "sync_max_retries": 2,
            "sync_tokens": {"rms": SecretStr(PASSWORD)},
            **more,
        }
    )


def spec_of(server, **more):
    known = {"columns": COLUMNS, "token": "rms", "host_key": server.fingerprint, **more}
    return SourceSpec("sftp", known.pop("url", server.url), **known)


def pages(server, state=None, *, settings=None, alive=lambda: None, **more):
    """[(file's name, bytes)] of a look, and the cursor after it."""
    found, last = [], state or {}
    for page in sftp_pages(Visit(settings or settings_of(), alive), spec_of(server, **more), last):
        last = page.state
        if page.body is not None:
            found.append((page.name, b"".join(page.body)))
    return found, last


def test_a_city_reads_each_file_once(engine, sync_settings, server, inbox):
    (inbox / "a.csv").write_bytes(csv_of(1, 2))
    changes = {"sync_tokens": {"rms": SecretStr(PASSWORD)}, "source_settle_s": 0.01}
    city = City(engine, sync_settings.model_copy(update=changes), spec_of(server))
    run = city.sync()
    assert (run.status, run.metrics["accepted"]) == ("succeeded", 2)
    os.utime(inbox / "a.csv", (1, 1))
    (inbox / "b.csv").write_bytes(csv_of(3))
    again = city.sync()
    assert (again.metrics["received"], again.metrics["accepted"]) == (1, 1)
    assert again.message == "files: 1 read, 1 with content that was read before"
    assert set(city.stored()) == {"1", "2", "3"}


def test_large_files_arrive_whole(server, inbox):
    body = csv_of(*range(20_000))
    (inbox / "a.csv").write_bytes(body)
    assert len(body) > 3 << 18
    assert pages(server)[0] == [("a.csv", body)]


@pytest.mark.parametrize("form", ["text", "file"])
def test_a_key_is_taken_from_the_setting_or_a_file(server, inbox, tmp_path, form):
    (inbox / "a.csv").write_bytes(csv_of(1))
    key = server.client_key.export_private_key().decode()
    (tmp_path / "key").write_text(key)
    token = key if form == "text" else f"file:{tmp_path / 'key'}"
    found, _ = pages(server, settings=settings_of(sync_tokens={"rms": SecretStr(token)}))
    assert [name for name, _ in found] == ["a.csv"]
    assert set(server.tried) == {"key"}


@pytest.mark.parametrize(
    "token", ["wrong-pass-word", "-----BEGIN PRIVATE KEY-----\nx\n", "file:/nowhere"]
)
def test_a_wrong_token_is_refused_and_not_shown(server, token):
    with pytest.raises(SourceFailed) as refused:
        pages(server, settings=settings_of(sync_tokens={"rms": SecretStr(token)}))
    assert refused.value.code == "token"
    assert token not in refused.value.message
    assert len(server.tried) <= 2, "a refused password is not tried again and again"


def test_a_token_that_is_not_set_is_named(server):
    with pytest.raises(SourceFailed, match="sync_tokens has no token 'rms'"):
        secret_of(Settings(), spec_of(server))


def test_a_server_with_another_key_gets_no_password(server):
    with pytest.raises(SourceFailed, match="not the one stated") as refused:
        pages(server, host_key=OTHER_KEY)
    assert (refused.value.code, server.tried) == ("host_key", [])
    for key in (server.host_key, server.second_key):
        assert key.get_fingerprint() in refused.value.message


def test_a_server_that_hangs_up_for_want_of_a_kind_of_key_has_another_key(server):
    server.hangs_up_at = len(HOST_KEYS)
    with pytest.raises(SourceFailed, match="not the one stated"):
        pages(server, host_key=OTHER_KEY)
    assert server.connections == len(HOST_KEYS)


def test_a_server_that_hangs_up_at_first_is_asked_again(server, inbox):
    (inbox / "a.csv").write_bytes(csv_of(1))
    server.hangs_up_at = 1
    found, _ = pages(server)
    assert ([name for name, _ in found], server.connections) == (["a.csv"], 2)


def test_each_of_a_servers_keys_may_be_stated(server, inbox):
    (inbox / "a.csv").write_bytes(csv_of(1))
    found, _ = pages(server, host_key=server.second_key.get_fingerprint())
    assert [name for name, _ in found] == ["a.csv"]
    assert HOST_KEYS[0] == ("ssh-ed25519",)


def test_the_users_own_known_hosts_do_not_count(server, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key = server.host_key.export_public_key().decode()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key}")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(SourceFailed, match="not the one stated"):
        pages(server, host_key=OTHER_KEY)


@pytest.mark.parametrize("allowed", [{}, {"source_hosts": ["rms.example"]}])
def test_a_server_inside_is_refused_unless_allowed(server, allowed):
    settings = settings_of(source_networks=[], **allowed)
    with pytest.raises(SourceFailed, match="not a public address") as refused:
        pages(server, settings=settings)
    assert (refused.value.code, server.connections) == ("private_address", 0)


def test_a_private_server_is_refused_when_it_is_added(engine, settings, server):
    city = City(engine, settings, SourceSpec("file", "https://a.example/x.csv", columns=COLUMNS))
    with pytest.raises(InvalidInput, match="HOTSLOT_SOURCE_NETWORKS") as refused:
        add_source(engine, settings, city.id, "rms", spec_of(server))
    assert refused.value.code == "private_address"


def test_a_name_that_turns_to_this_machine_is_not_connected_to(server, monkeypatch):
    real, answers = socket.getaddrinfo, []

    def resolve(host, port, *args, **options):
        if host != "rebound.example":
            return real(host, port, *args, **options)
        answers.append("127.0.0.1" if answers else "93.184.215.14")
        return real(answers[-1], port, *args, **options)

    connected = []

    def connect(address, *args, **options):
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    url = f"sftp://rms@rebound.example:{server.port}/inbox"
    with pytest.raises(SourceFailed, match="gave up after 1 attempts"):
        pages(server, url=url, settings=settings_of(source_networks=[], sync_max_retries=0))
    assert (connected, server.connections) == (["93.184.215.14"], 0)


def test_a_proxy_tunnels_to_it(server, inbox):
    (inbox / "a.csv").write_bytes(csv_of(1))
    with proxying(ConnectProxy({"127.0.0.1": "127.0.0.1", "93.184.215.14": "127.0.0.1"})) as proxy:
        settings = settings_of(source_proxy=f"http://127.0.0.1:{proxy.port}", source_networks=[])
        url = f"sftp://rms@93.184.215.14:{server.port}/inbox"
        found, _ = pages(server, url=url, settings=settings)
    assert ([name for name, _ in found], len(proxy.asked)) == (["a.csv"], 1)


def test_a_file_that_grows_or_is_a_link_is_not_read(server, inbox):
    file = inbox / "a.csv"
    file.write_bytes(csv_of(1))
    (inbox / "link.csv").symlink_to(file)

    def grow():
        with file.open("ab") as more:
            more.write(b"x")

    assert pages(server, alive=grow) == ([], {})
    found, state = pages(server)
    assert [name for name, _ in found] == ["a.csv"]
    assert pages(server, state) == ([], state)


def test_a_file_over_the_limit_is_refused(server, inbox):
    (inbox / "a.csv").write_bytes(csv_of(*range(50)))
    with pytest.raises(SourceFailed, match=r"a\.csv is over 100 bytes"):
        pages(server, settings=settings_of(max_body_bytes=100))


def test_a_folder_that_is_not_there_is_said(server):
    with pytest.raises(SourceFailed, match="broke off or refused: No such file"):
        pages(server, url=server.url + "/none")


def test_a_server_without_sftp_is_refused(tmp_path):
    with sftp_server(tmp_path, offers_sftp=False) as server:
        with pytest.raises(SourceFailed, match="the SFTP server refuses"):
            pages(server)
        assert server.connections == 1


def test_a_server_that_says_nothing_is_given_up(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sftp://rms@127.0.0.1:{silent.getsockname()[1]}/inbox"
        settings = settings_of(sync_request_timeout_s=0.3, sync_max_retries=1)
        with pytest.raises(SourceFailed, match="gave up after 2 attempts"):
            pages(server, url=url, settings=settings)


def test_addresses():
    assert sftp_address("sftp://ann@h.example/in%20box") == SftpAddress(
        "ann", "h.example", 22, "/in box"
    )
    assert sftp_address("sftp://ann@h.example:2222/~/inbox") == SftpAddress(
        "ann", "h.example", 2222, "inbox"
    )
    assert sftp_address("sftp://ann@h.example/~/").path == "."
    assert sftp_address("sftp://ann@h.example").path == "/"
    assert sftp_address("sftp://ann@[2606:4700::1111]").host == "2606:4700::1111"


@pytest.mark.parametrize(
    "url",
    ["sftp://h.example/a", "sftp://ann:word@h.example/a", "sftp://ann@/a", "https://ann@h.example/a",
     "sftp://ann@h.example:99999/a", "sftp://ann@h.example/../a", "sftp://ann@h.example/a%0Ab",
     "sftp://-oX@h.example:0/", "sftp://ann@h.example/a?b", "sftp://[x/a"],
)  # fmt: skip
def test_other_addresses_are_refused(url):
    with pytest.raises(InvalidInput) as refused:
        sftp_address(url)
    assert refused.value.field == "url"
    assert "word" not in refused.value.message.replace("password", "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host_key": None}, "host_key"),
        ({"host_key": "MD5:aa"}, "host_key"),
        ({"host_key": "SHA256:short"}, "host_key"),
        ({"token": None}, "token"),
    ],
)
def test_a_key_and_a_token_are_required(changes, field):
    known = {"url": "sftp://ann@h.example/a", "token": "rms", "host_key": OTHER_KEY, **changes}
    with pytest.raises(InvalidInput) as refused:
        SourceSpec("sftp", **known).checked()
    assert refused.value.field == field
