"""R3: damage of every kind to a stored version is refused before use."""

import pytest

from tests.resilience.attacks import corrupted_versions as drill


@pytest.fixture(scope="module")
def target(engine, settings):
    return drill.attacked(engine, settings)


@pytest.mark.slow
def test_nothing_poisoned_is_promoted_or_read_and_the_version_before_serves(
    engine, settings, target
):
    with engine.connect() as connection:
        version = drill.registry.get_version(connection, target.key)
        drill.registry.check_version(connection, version)
    assert version.version == target.version, "sound before"
    assert drill.accepted(engine, target, 48) == []
    assert drill.served_instead(engine, settings, target) == []
