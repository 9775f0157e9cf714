"""The worker looks for what is due and lets a child send it; a fault does not end it."""

from __future__ import annotations

import asyncio

import pytest

from app.core.errors import Unavailable
from app.worker import pushes
from app.worker.pushes import push_repeatedly


@pytest.fixture
def looks(monkeypatch, settings):
    """Replies of each look, and what was started; the last look ends the loop."""
    settings = settings.model_copy(update={"push_tick_s": 0.001})
    started = []

    async def run_child(_settings, *arguments):
        started.append(arguments[:2])
        return 0

    def run(*replies):
        left = list(replies)

        def look(_engine):
            reply = left.pop(0) if left else asyncio.CancelledError()
            if isinstance(reply, BaseException):
                raise reply
            return reply

        monkeypatch.setattr(pushes, "run_child", run_child)
        monkeypatch.setattr(pushes, "queue_deliveries", look)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(push_repeatedly(None, settings))
        return started

    return run


def test_a_child_is_started_when_something_is_due(looks):
    assert looks(False, True, False, True) == [("push", "-")] * 2


def test_a_fault_does_not_end_it(looks):
    assert looks(Unavailable("away"), True) == [("push", "-")]
