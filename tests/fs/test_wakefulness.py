"""Over a file in place of the device: what is asked for is appended to it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.fs.wakefulness import MANY, Wakefulness

AWAKE = 0
AS_USUAL = -1


class Device:
    """What was asked for, in microseconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"")

    def asked(self) -> list[int]:
        return [latency for (latency,) in struct.iter_unpack("=i", self.path.read_bytes())]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "latency")


@pytest.fixture
def wakefulness(device: Device) -> Iterator[Wakefulness]:
    wakefulness = Wakefulness(device=str(device.path))
    yield wakefulness
    wakefulness.close()


def rush(wakefulness: Wakefulness, requests: int) -> None:
    for _ in range(requests):
        wakefulness.served()


def test_few_requests_are_no_rush(device: Device, wakefulness: Wakefulness) -> None:
    for _ in range(5):
        rush(wakefulness, MANY - 1)
        wakefulness.pause()
    assert device.asked() == []


def test_a_rush_is_asked_for_once_and_ends_with_a_pause(
    device: Device, wakefulness: Wakefulness
) -> None:
    for number in range(1, 4):
        rush(wakefulness, MANY - 1)
        assert device.asked() == [AWAKE, AS_USUAL] * (number - 1)
        rush(wakefulness, 1)
        assert device.asked() == [AWAKE, AS_USUAL] * (number - 1) + [AWAKE]
        rush(wakefulness, 10 * MANY)
        wakefulness.pause()
        wakefulness.pause()
        assert device.asked() == [AWAKE, AS_USUAL] * number


def test_who_does_not_want_it_asks_for_nothing(device: Device) -> None:
    wakefulness = Wakefulness(wanted=False, device=str(device.path))
    rush(wakefulness, 2 * MANY)
    wakefulness.pause()
    wakefulness.close()
    assert device.asked() == []


def test_who_may_not_ask_is_served_as_usual(tmp_path: Path) -> None:
    wakefulness = Wakefulness(device=str(tmp_path / "absent"))
    rush(wakefulness, 2 * MANY)
    wakefulness.pause()
    wakefulness.close()


def test_who_is_refused_asks_no_more() -> None:
    before = len(os.listdir("/proc/self/fd"))
    wakefulness = Wakefulness(device="/dev/full")
    rush(wakefulness, 2 * MANY)
    assert len(os.listdir("/proc/self/fd")) == before
    wakefulness.pause()
    rush(wakefulness, 2 * MANY)
    wakefulness.close()


def test_after_the_end_nothing_is_asked_for(device: Device, wakefulness: Wakefulness) -> None:
    rush(wakefulness, MANY)
    wakefulness.close()
    wakefulness.pause()
    rush(wakefulness, 2 * MANY)
    wakefulness.close()
    assert device.asked() == [AWAKE]  # the kernel takes a closed descriptor for the end of it
