"""What a cancelled playbook leaves running: given time, then asked, then ended; nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import orphans

# A worker in a session of its own, as Ansible's are; its command line bears the mark.
WORKER = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, {deaf}); print(1, flush=True); time.sleep({s})"
)
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(orphans, "PATIENCE_S", 0.6)
    monkeypatch.setattr(orphans, "INSIST_S", 0.6)
    made = []

    def begin(mark: Path, *, lasts_s: float, deaf: bool = False) -> subprocess.Popen[str]:
        code = WORKER.format(deaf="signal.SIG_IGN" if deaf else "lambda *_: sys.exit(7)", s=lasts_s)
        command = [sys.executable, "-c", code, str(mark)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        made.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "1\n"
        return worker

    yield begin
    for worker in made:
        worker.kill()
        worker.communicate()


def test_a_task_may_end_by_itself_and_is_then_asked_and_then_ended(start: Start, tmp_path: Path) -> None:
    quick = start(tmp_path, lasts_s=0.2)
    slow, deaf = start(tmp_path, lasts_s=60), start(tmp_path, lasts_s=60, deaf=True)
    other = start(tmp_path.with_name("another run"), lasts_s=60)
    began = time.monotonic()
    orphans.end_workers(str(tmp_path))
    assert time.monotonic() - began < 3
    assert (quick.wait(1), slow.wait(1), deaf.wait(1)) == (0, 7, -9)
    assert other.poll() is None
