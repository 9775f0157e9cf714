"""Names that are no settings, contradictions, and what is unsafe where others can reach the service."""

import pytest

from app.core.setting_values import temporary_home
from app.core.settings import Settings
from app.doctor.settings import check_names, check_settings


def codes(**values):
    values = {"training_memory_bytes": 512 << 20, "workers": 1, **values}
    return {each.message.code for each in check_settings(Settings(**values))}


def test_a_misspelt_name_has_the_nearest_setting():
    names = ["HOTSLOT_RATELIMIT_PER_S", "hotslot_database_ur", "HOTSLOT_FROG", "PATH"]
    found = {each.message.params["name"]: each.message for each in check_names(names)}
    assert found["HOTSLOT_RATELIMIT_PER_S"].params["nearest"] == "HOTSLOT_RATE_LIMIT_PER_S"
    assert found["hotslot_database_ur"].params["nearest"] == "HOTSLOT_DATABASE_URL"
    assert found["HOTSLOT_FROG"].code == "unknown_setting"
    assert len(found) == 3


def test_every_setting_and_what_others_read_are_known():
    names = [f"HOTSLOT_{name.upper()}" for name in Settings.model_fields]
    others = ["HOTSLOT_SECRETS_DIR", "HOTSLOT_SERVICE_HOST", "HOTSLOT_PORT_80_TCP_ADDR"]
    assert list(check_names([*names, *map(str.lower, names), *others])) == []


def test_usual_settings_are_fine(tmp_path):
    assert codes(home=tmp_path) == set()


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("stalled_too_soon", {"job_stalled_s": 10, "job_heartbeat_s": 5}),
        ("basemap_missing", {"basemap": "/nowhere/city.pmtiles"}),
        ("oidc_without_issuer", {"oidc_audience": "hotslot"}),
        ("oidc_incomplete", {"oidc_issuer": "https://id.example"}),
        ("everybody_is_a_proxy", {"trusted_proxies": ["0.0.0.0/0"]}),
        ("no_rate_limit", {"rate_limit_per_s": 0, "host": "0.0.0.0"}),
        ("sync_reaches_this_machine", {"sync_allow_loopback": True, "host": "10.1.2.3"}),
        ("database_timeout_long", {"database_timeout_s": 41, "job_stalled_s": 40}),
        ("push_timeout_long", {"push_timeout_s": 180}),
        ("mail_incomplete", {"smtp_host": "mail.example"}),
        ("mail_incomplete", {"smtp_user": "u", "smtp_host": "m", "smtp_sender": "a@b.example"}),
        ("folder_missing", {"source_folder": "/nowhere/incoming"}),
        ("folder_missing", {"push_folder": "/nowhere/out"}),
        ("memory_short", {"training_memory_bytes": 1 << 50}),
    ],
)
def test_each_fault_is_found(tmp_path, code, values):
    assert codes(home=tmp_path, **values) == {code}


def test_what_only_this_machine_reaches_needs_no_rate(tmp_path):
    assert codes(home=tmp_path, rate_limit_per_s=0, sync_allow_loopback=True) == set()


def test_a_temporary_home():
    assert codes(home=temporary_home()) == {"temporary_home"}
