"""An attacker with ordinary keys plants single incidents and looks for them through every door."""

from benchmarks.drills import attacker


def test_no_role_finds_a_planted_incident_better_than_chance(engine, settings, capsys):
    with attacker.world_on(engine, settings) as world:
        found = attacker.attack(world, 3)
    good, told = found.verdict()
    with capsys.disabled():
        print(f"\nattacker: {told}")
    assert good, told
    assert found.moved == 0, found.doors
