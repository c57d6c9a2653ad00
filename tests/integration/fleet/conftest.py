"""A controller in this process, two machines that are to become its hosts, and an image of 30 MB."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeChain, make_deps, make_settings
from fleet_kit import Box, MovedClock, boxes, make_secrets, run
from postgres_kit import Cluster
from werkzeug.serving import make_server

sys.path += [str(Path(__file__).parents[1] / name) for name in ("", "host", "sessions")]

from hostkit import build_image
from session_kit import Platform

from controller.adapters.database import PostgresDatabase
from controller.adapters.provisioner import AnsibleProvisioner
from images.desktop import signature

with warnings.catch_warnings():
    # web3 imports a part of websockets that warns of its end at import; nothing of ours uses it.
    warnings.filterwarnings("ignore", message="websockets.legacy", category=DeprecationWarning)
    from controller.app import create_app

HEARD_MS = 5_000
PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"


@dataclass(frozen=True)
class Signed:
    """The image as a signed archive."""

    image_id: str
    archive: Path
    signature: str


@dataclass
class Fleet:
    """The controller and its machines."""

    platform: Platform
    clock: MovedClock
    boxes: tuple[Box, Box]
    login_key: Path
    web_url: str
    archive: Signed

    def box(self, name: str) -> Box:
        return next(box for box in self.boxes if box.name == name)

    def state_of(self, box: Box) -> str:
        (row,) = self.platform.rows("SELECT state FROM host WHERE name = :n", n=box.name)
        return str(row.state)

    def heard(self, box: Box) -> bool:
        """Whether its guard has reported just now."""
        (row,) = self.platform.rows("SELECT last_report_at_ms FROM host WHERE name = :n", n=box.name)
        return (row.last_report_at_ms or 0) > self.clock.now_ms() - HEARD_MS


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """The state folder, of the same path here and on the hosts; short, for the sockets below it."""
    folder = Path(tempfile.mkdtemp(prefix="axf-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def login_key(state: Path) -> Path:
    """The operator's key; the machines know its public half."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", state / "operator")
    return state / "operator"


@pytest.fixture(scope="module")
def machines(state: Path, login_key: Path, tmp_path_factory: Any) -> Iterator[tuple[Box, Box]]:
    public = login_key.with_suffix(".pub").read_text()
    with boxes(tmp_path_factory.mktemp("fleet"), state, public) as made:
        yield made


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    made = build_image()
    yield made
    run("docker", "rmi", "--force", made, check=False)


@pytest.fixture(scope="module")
def fleet_database(postgres: Cluster, migrated: str) -> Iterator[PostgresDatabase]:
    postgres.run(f"CREATE DATABASE fleet TEMPLATE {migrated}")
    opened = PostgresDatabase(postgres.url("fleet"))
    yield opened
    opened.engine.dispose()
    postgres.run("DROP DATABASE fleet WITH (FORCE)")


@pytest.fixture(scope="module")
def fleet(
    state: Path,
    login_key: Path,
    machines: tuple[Box, Box],
    image: str,
    fleet_database: PostgresDatabase,
) -> Iterator[Fleet]:
    gateway = machines[0].gateway
    places: dict[str, Any] = make_secrets(state)
    server = make_server(gateway, 0, lambda *_: [], threaded=True)
    settings = make_settings(
        instance=f"f{secrets.token_hex(3)}",
        state_dir=str(state),
        run_dir=f"/run/{state.name}",
        playbooks_dir=PLAYBOOKS,
        web={"origin": f"https://{gateway}:{server.port}", "port": server.port},
        secrets=places,
        novnc_dir=state / "novnc",
        sessions={"image_id": image, "lease_minutes": 1, "memory_mib_per_gpu": 512},
        queue={"policy": "first-fit"},
    )
    clock = MovedClock()
    deps = replace(make_deps(fleet_database, FakeChain(), settings=settings), clock=clock)
    server.app = create_app(deps)
    provisioner = AnsibleProvisioner(PLAYBOOKS, state)
    platform = Platform(deps, clock, provisioner)  # type: ignore[arg-type] # the real ones
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    signed = _signed(image, state)
    yield Fleet(platform, clock, machines, login_key, f"http://{gateway}:{server.port}", signed)
    server.shutdown()
    thread.join()
    server.server_close()
    provisioner.close()


def _signed(image: str, state: Path) -> Signed:
    (state / "images").mkdir()
    archive = state / "images" / "desktop.tar"
    run("docker", "save", "--output", archive, image)
    image_id = signature.content_id(archive)
    assert image_id == image
    return Signed(image_id, archive, signature.sign(image_id, state / "secrets" / "ticket_private.pem"))
