"""The device and threads of a fit: as configured, or what the machine has; never silently another."""

import os

import pytest
import torch

from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.fitting.device import (
    choose_device,
    choose_threads,
    device_name,
    thread_count,
    use_threads,
)

HAS_CUDA = torch.cuda.is_available()


def test_a_device_that_is_asked_for_is_used_or_refused():
    assert choose_device(Settings(device="cpu")) == "cpu"
    assert choose_device(Settings(device="auto")) == ("cuda" if HAS_CUDA else "cpu")
    if HAS_CUDA:
        assert choose_device(Settings(device="cuda")) == "cuda"
        assert device_name("cuda") == torch.cuda.get_device_name()
        return
    with pytest.raises(InvalidInput, match="no CUDA device; set it to auto or cpu") as refused:
        choose_device(Settings(device="cuda"))
    assert refused.value.field == "device"


def test_threads_are_those_configured_or_half_of_the_cores(monkeypatch):
    for cores, wanted in ((1, 1), (2, 1), (9, 4), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert choose_threads(Settings()) == wanted
        assert choose_threads(Settings(training_threads=7)) == 7


def test_torch_uses_the_threads_that_it_is_given():
    before = thread_count()
    try:
        use_threads(before + 1)
        assert thread_count() == before + 1
    finally:
        use_threads(before)
