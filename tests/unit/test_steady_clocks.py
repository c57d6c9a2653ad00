"""A host's clock follows the controller's and nobody's hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.host.steady import BOOT_ID, HostClock

DAY = 86_400_000
NOW = 1_800_000_000_000


class Machine:
    """A wall clock that can be set, and a count that cannot."""

    def __init__(self, folder: Path) -> None:
        self.wall, self.up = NOW, 5_000
        self.folder = folder

    def clock(self) -> HostClock:
        return HostClock(self.folder, lambda: self.wall, lambda: self.up)

    def pass_time(self, ms: int) -> None:
        self.wall, self.up = self.wall + ms, self.up + ms


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_guard_it_is_the_wall_clock(machine: Machine) -> None:
    assert machine.clock().now_ms() == NOW


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_a_wall_clock_that_is_moved_moves_nothing(machine: Machine, step: int) -> None:
    machine.clock().keep()
    machine.wall += step
    machine.pass_time(2_000)
    clock = machine.clock()  # another process, or the guard again
    clock.keep()
    assert clock.now_ms() == NOW + 2_000


@pytest.mark.parametrize("wrong", [DAY, -DAY, 700])
def test_an_answer_of_the_controller_puts_it_right(machine: Machine, wrong: int) -> None:
    machine.wall += wrong
    clock = machine.clock()
    clock.keep()
    asked = machine.up
    machine.pass_time(40)
    clock.correct(NOW + 30, asked, machine.up)
    assert clock.now_ms() == NOW + 30, "never ahead of what the controller said"


def test_what_an_answer_cannot_tell_apart_stays(machine: Machine) -> None:
    clock = machine.clock()
    clock.keep()
    asked = machine.up
    machine.pass_time(40)
    clock.correct(NOW + 30, asked, machine.up)
    assert clock.now_ms() == NOW + 40


def test_a_reboot_forgets(machine: Machine) -> None:
    machine.clock().keep()
    file = machine.folder / "clock.json"
    file.write_text(json.dumps({"boot_id": "another", "offset_ms": 1}))
    assert machine.clock().now_ms() == NOW
    file.write_text("torn")
    assert machine.clock().now_ms() == NOW
    assert BOOT_ID.is_file()
