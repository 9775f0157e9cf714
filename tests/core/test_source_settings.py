"""What an operator allows sources is checked at start-up, and secrets stay unsaid."""

import pytest
from pydantic import ValidationError

from app.cli.console import exit_status
from app.core.settings import Settings
from app.core.source_settings import source_network


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("source_networks", ["0.0.0.0/0"], "0.0.0.0/0 is not within a private network"),
        ("source_networks", ["8.8.8.0/24"], "not within a private network"),
        ("source_networks", ["169.254.0.0/16"], "not within a private network"),
        ("source_networks", ["10.1.2.3/16"], "not a network such as 10.1.0.0/16"),
        ("source_hosts", ["0.0.0.0/0"], "not within a private network"),
        ("source_hosts", ["10.1.2"], "not a network"),
        ("source_hosts", ["167772161"], "not a network"),
        ("source_hosts", ["rms.example:443"], "not a network"),
        ("source_hosts", ["metadata.google.internal"], "never a source"),
        ("source_hosts", ["https://rms.example"], "not a host name"),
        ("source_no_proxy", ["*.example"], "not a host, a domain or a network"),
        ("source_proxy", "socks5://ann:p%40ss@proxy:1080", "a proxy is http"),
        ("source_proxy", "http://ann:p%40ss@proxy:99999", "a proxy is http"),
        ("source_proxy", "http://ann:p%40ss@proxy:3128/path", "a proxy is http"),
        ("source_ca_file", "/nowhere.pem", "/nowhere.pem is not there"),
        ("source_ca_file", __file__, "has no certificate"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line_without_its_secret(capsys, name, value, said):
    with pytest.raises(ValidationError) as refused:
        Settings(**{name: value})
    assert "p%40ss" not in str(refused.value)
    assert exit_status(refused.value) == 2
    line = capsys.readouterr().err
    assert said in line
    assert f"HOTSLOT_{name.upper()}" in line
    assert "p%40ss" not in line


def test_named_hosts_and_networks_are_taken():
    settings = Settings(
        source_hosts=["rms.police.example", "10.1.2.3", "cad1", "d1.example"],
        source_networks=["10.1.0.0/16", "fd12:3456::/32"],
        source_no_proxy=[".city.example", "10.0.0.0/8"],
    )
    assert settings.allowed_sources == [
        *(
            "rms.police.example",
            "10.1.2.3/32",
            "cad1",
            "d1.example",
            "10.1.0.0/16",
            "fd12:3456::/32",
        )
    ]


@pytest.mark.parametrize("name", ["10.0.0.0/8", "192.168.7.0/24", "127.0.0.1", "fd00::/8", "::1"])
def test_private_networks(name):
    assert source_network(name).startswith(name)
