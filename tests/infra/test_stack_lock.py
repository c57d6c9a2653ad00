import json
import os
import socket

import pytest

from infra.errors import Interrupted, StackBusy
from infra.stack_lock import Owner, owners, turn, wait_for_owner

LIVING = Owner(pid=os.getpid(), hostname="elsewhere")


def test_only_a_dead_process_of_this_host_is_dead():
    here = socket.gethostname()
    assert Owner(pid=2**22 + 1, hostname=here).is_dead()
    assert Owner(pid=os.getpid(), hostname=here).is_dead(), "the number was given to another program"
    assert not LIVING.is_dead(), "of another host nothing is known"


def test_owners_are_read_and_half_written_records_passed_over(tmp_path):
    folder = tmp_path / ".pulumi/locks/organization/axonos/local"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps({"pid": 7, "hostname": "h", "username": "u"}))
    (folder / "b.json").write_text("{")
    assert owners(tmp_path, "axonos", "local") == [Owner(7, "h")]


def test_a_living_owner_is_waited_for():
    answers = [[LIVING], [LIVING], [LIVING], []]
    told, slept = [], []
    found = wait_for_owner(
        lambda: answers.pop(0) if answers else [], timeout_s=60, report=told.append, sleep=slept.append
    )
    assert found is False
    assert told == [f"waiting for pulumi process {os.getpid()} on elsewhere, which is changing this stack"]
    assert slept


def test_a_dead_owners_lock_is_to_be_taken_away():
    dead = Owner(pid=2**22 + 1, hostname=socket.gethostname())
    assert wait_for_owner(lambda: [dead], timeout_s=0, report=lambda _: None) is True


def test_waiting_ends_with_the_reason():
    with pytest.raises(StackBusy, match="elsewhere"):
        wait_for_owner(lambda: [LIVING], timeout_s=1, report=lambda _: None, sleep=lambda _: None)
    with pytest.raises(Interrupted):
        wait_for_owner(lambda: [LIVING], timeout_s=9, report=lambda _: None, stopped=lambda: True)


def test_one_turn_at_a_time(tmp_path):
    told = []
    with turn(tmp_path, timeout_s=0, report=told.append):
        second = turn(tmp_path, timeout_s=1, report=told.append, sleep=lambda _: None)
        with pytest.raises(StackBusy, match=f"process {os.getpid()}"), second:
            pass
    assert len(told) == 1
    with turn(tmp_path, timeout_s=0, report=told.append):
        assert len(told) == 1
