"""An attacker with ordinary keys plants single incidents and looks for them through every door."""

from tests.resilience.attacks import attacker


def test_no_role_finds_a_planted_incident_better_than_chance(engine, settings, capsys):
    with attacker.world_on(engine, settings) as world:
        found = attacker.attack(world, 3)
    good, told = found.verdict()
    with capsys.disabled():
        print(f"\nattacker: {told}")
    assert good, told
    assert found.moved == 0, found.doors
    assert "hour" in told
    assert len(found.hour_chance) == 3


def test_an_attacker_who_found_every_hour_would_fail_the_drill():
    found = attacker.Found(rounds=10, hours=10, hour_chance=[0.05] * 10)
    good, told = found.verdict()
    assert not good
    assert "hour 10 (chance 0.5" in told
