"""Readiness is checked against the database, once for all who ask at the same time."""

import asyncio

from sqlalchemy import event, text

from app.core.errors import Unavailable
from app.http.app_state import Readiness


def test_simultaneous_callers_share_one_check_and_the_next_makes_its_own(engine):
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *of: asked.append(of[2]))

    async def run():
        readiness = Readiness()
        await asyncio.gather(*(readiness.check(engine) for _ in range(20)))
        once = len(asked)
        await readiness.check(engine)
        return once

    once = asyncio.run(run())
    assert once > 0
    assert len(asked) == 2 * once


def test_who_stops_waiting_takes_the_check_from_nobody(engine):
    async def run():
        readiness = Readiness()
        leaving = asyncio.create_task(readiness.check(engine))
        staying = asyncio.create_task(readiness.check(engine))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        return leaving

    assert asyncio.run(run()).cancelled()


def test_a_schema_that_is_not_current_is_told_to_all_and_its_upgrade_is_noticed(engine):
    with engine.begin() as connection:
        head = connection.scalar(text("SELECT version_num FROM alembic_version"))

    def set_version(version):
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})

    async def run():
        readiness = Readiness()
        checks = (readiness.check(engine) for _ in range(3))
        found = await asyncio.gather(*checks, return_exceptions=True)
        set_version(head)
        await readiness.check(engine)
        return found

    set_version("0001")
    found = asyncio.run(run())
    assert [type(one) for one in found] == [Unavailable] * 3
    assert "run `hotslot migrate`" in found[0].message
