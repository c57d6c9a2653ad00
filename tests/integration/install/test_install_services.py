from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed
from ansible_collections.axonos.platform.plugins.module_utils.supervisor import Supervisor
from chainkit import free_port
from install_kit import things

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        Path("/run/systemd/system").is_dir(), reason="supervisord is for where no systemd runs"
    ),
]


class World:
    """One instance with a small web server as its service."""

    def __init__(self, converge, root: Path, supervisord: str) -> None:
        self.converge, self.port = converge, free_port()
        self.place = {"instance": "axsvc", "state_dir": str(root), "run_dir": f"{root}/run"}
        self.program = {"supervisord": supervisord}
        self.daemon = Supervisor("axsvc", root / "supervisor", root / "run", root / "logs", supervisord)

    def service(self, **more) -> dict:
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(self.port)]
        return {
            "name": "web",
            "command": command,
            "ready": f"http:{self.port}/",
            "ready_s": 15,
            "stop_s": 2,
            **more,
        }

    def look(self, **more) -> list[str]:
        return things(
            self.converge(
                "services", check=True, services=[self.service(**more)], **self.place, **self.program
            )
        )

    def start(self, **more) -> list[str]:
        return things(
            self.converge("services", services=[self.service(**more)], **self.place, **self.program)
        )

    def stop(self) -> list[str]:
        stopping = {**self.place, **self.program, "state": "stopped", "finish": True}
        return things(self.converge("services", services=[{"name": "web"}], **stopping))

    def pid(self) -> int:
        (found,) = [info["pid"] for info in self.daemon._all() if info["name"] == "web"]
        return found


@pytest.fixture
def world(converge, tmp_path: Path, supervisord: str) -> Iterator[World]:
    made = World(converge, tmp_path, supervisord)
    yield made
    made.stop()


def test_a_service_is_started_once_and_left_alone(world: World) -> None:
    assert world.look() == ["web: not set up"]
    assert world.start() == ["web: not set up"]
    pid = world.pid()
    assert world.look() == world.start() == []
    assert world.pid() == pid


def test_a_stopped_one_and_one_with_other_inputs_are_named_and_mended(world: World, supervisord: str) -> None:
    world.start()
    first = world.pid()
    assert world.start(inputs="new code") == ["web: definition differs"]
    assert world.pid() != first
    control = [
        str(Path(supervisord).with_name("supervisorctl")),
        "-s",
        f"unix://{world.daemon.socket}",
        "stop",
        "web",
    ]
    subprocess.run(control, check=True, capture_output=True)
    assert world.look(inputs="new code") == ["web: stopped"]
    assert world.start(inputs="new code") == ["web: stopped"]
    assert world.look(inputs="new code") == []


def test_one_whose_definition_was_written_but_never_applied_is_found(world: World) -> None:
    world.start()
    fresh = world.daemon.definition.__self__
    text = fresh.text(_parsed(world, inputs="new code"))
    (fresh.folder / "programs" / "web.conf").write_text(text)
    assert world.start(inputs="new code") == ["web: runs an older definition"]


def test_one_that_hangs_is_restarted(world: World) -> None:
    world.start()
    os.kill(world.pid(), signal.SIGSTOP)
    assert world.start() == ["web: does not answer"]
    assert world.look() == []


def test_one_that_was_killed_is_back_by_itself(world: World) -> None:
    world.start()
    os.kill(world.pid(), signal.SIGKILL)
    assert world.start() in (["web: stopped"], [])
    assert world.look() == []


def test_a_mended_configuration_restarts_its_service(world: World) -> None:
    world.start()
    first = world.pid()
    assert world.start(restart=True) == ["web: its configuration was mended"]
    assert world.pid() != first


def test_what_cannot_start_says_why(world: World) -> None:
    with pytest.raises(CommandFailed, match=r"web did not start within 3 s.*no such port"):
        world.start(command=["/bin/sh", "-c", "echo no such port; exit 1"], ready_s=3)
    with pytest.raises(CommandFailed, match=r"web did not start.*can't find command"):
        world.start(command=["/nonexistent/program"], ready_s=2)


def test_stopping_ends_the_daemon_too_and_may_be_repeated(world: World) -> None:
    world.start()
    assert world.stop() == ["web: stopped", "supervisord: stopped"]
    assert world.stop() == []
    assert world.look() == ["web: stopped"]
    assert world.start() == ["web: stopped"]


def _parsed(world: World, **more):
    from ansible_collections.axonos.platform.plugins.module_utils.service import Service

    return Service.parse(world.service(**more), "axsvc")


def test_what_was_stopped_with_the_instance_is_started_again_and_nothing_else(world: World) -> None:
    place, two = {**world.place, **world.program}, [{"name": "web"}, {"name": "never-set-up"}]

    def converged(*, check: bool = False, **more) -> list[str]:
        return things(world.converge("services", check=check, services=two, **place, **more))

    world.start()
    assert converged(state="resumed") == []
    converged(state="stopped")
    assert converged(state="resumed") == [], "somebody wanted it stopped"
    world.start()
    assert converged(state="stopped", remember=True) == ["web: stopped"]
    assert converged(state="stopped", remember=True) == [], "and what is remembered stays so"
    assert converged(check=True, state="resumed") == ["web: stopped"]
    assert converged(state="resumed") == ["web: stopped"]
    assert world.look() == []
    assert converged(state="resumed") == []
    converged(state="stopped")
    assert converged(state="resumed") == [], "forgotten once it ran"
