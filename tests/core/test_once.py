import pickle
import threading
import time

import pytest

from app.core.caching.once import once


class Slow:
    def __init__(self):
        self.made = 0

    @once
    def value(self):
        """Compute slowly."""
        time.sleep(0.05)
        self.made += 1
        return object()

    @once
    def broken(self):
        self.made += 1
        raise ZeroDivisionError


def test_threads_that_ask_at_once_get_one_value_made_once():
    slow, got = Slow(), []
    barrier = threading.Barrier(8)

    def ask():
        barrier.wait()
        got.append(slow.value)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.made == 1
    assert set(got) == {slow.value}
    assert Slow.value.__doc__ == "Compute slowly."
    assert pickle.loads(pickle.dumps(slow)).made == 1


def test_objects_of_a_class_do_not_wait_for_each_other():
    both = threading.Barrier(2, timeout=60)

    class Meeting:
        @once
        def value(self):
            return both.wait() >= 0

    other = Meeting()
    thread = threading.Thread(target=lambda: other.value)
    thread.start()
    assert Meeting().value
    thread.join()


def test_what_fails_is_tried_again():
    slow = Slow()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = slow.broken
    assert slow.made == 2
    assert pickle.loads(pickle.dumps(slow)).made == 2
