"""`make test-clients`: the x402 clients of npm, unmodified, pay the running platform for a shell.

Not part of `make test`: npm installs some 470 packages for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "integration" / "agents"))

from agent_kit import KEY, Platform, deps_for, platform_running, settings_for  # noqa: E402
from chainkit import Chain, anvil_fixture  # noqa: E402, F401

from controller.adapters.database import PostgresDatabase  # noqa: E402
from infra.devchain.node import node_program  # noqa: E402

FOLDER = HERE.parent.parent / ".build" / "clients"
FILES = ("package.json", "package-lock.json", "pay.mjs")


@pytest.fixture(scope="module")
def packages() -> Path:
    """The locked packages, installed once for a lock."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = FOLDER / "node_modules" / ".lock-hash"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(HERE / name, FOLDER / name)
    if not stamp.is_file() or stamp.read_text() != wanted:
        node = node_program()
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        path = f"{node.parent}:{os.environ['PATH']}"
        subprocess.run([node, npm, "ci", *options], cwd=FOLDER, check=True, env={**os.environ, "PATH": path})
        stamp.write_text(wanted)
    return FOLDER


@pytest.fixture
def platform(
    anvil: Chain,
    database: PostgresDatabase,
    database_url: str,
    tmp_path: Path,
) -> Iterator[Platform]:
    deps = deps_for(settings_for(anvil, database_url, tmp_path), database)
    with platform_running(deps, anvil) as running:
        yield running
    deps.settler.close()  # type: ignore[union-attr]
    deps.chain.close()  # type: ignore[attr-defined]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["v2", "v1"], ids=["@x402/fetch", "x402-fetch"])
def test_a_client_of_npm_pays_and_has_a_shell(packages: Path, platform: Platform, version: str) -> None:
    account = platform.agent()
    body = json.dumps({"profile": "small", "ssh_key": KEY, "wait_s": 10})
    words = [node_program(), "pay.mjs", version, platform.url, account.key.to_0x_hex(), body]
    done = subprocess.run(words, cwd=packages, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == 200, told
    assert told["receipt"]
    assert told["given"]["session"]["state"] == "running"
    assert told["given"]["payment"]["payer"] == account.address.lower()
    assert platform.gpu_ms(account) <= 360_000
