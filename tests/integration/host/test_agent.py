"""`axonos-agent` against a real site, a real host and OpenSSH: a shell, a command, its result, and the end."""

import json
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace

import pytest
from eth_account import Account
from hostkit import run
from session_kit import make_platform
from test_shell_journey import RealHost
from test_shells import free_port
from werkzeug.serving import make_server

from controller.client import ApiError, Axonos
from controller.services.sessions import facade as sessions

with warnings.catch_warnings():
    # web3 imports a part of websockets that warns of its end at import; nothing of ours uses it.
    warnings.filterwarnings("ignore", message="websockets.legacy", category=DeprecationWarning)
    from controller.adapters.sign_in import SiweVerifier
    from controller.app import create_app

pytestmark = pytest.mark.integration
KEY = "0x" + "a7" * 32
WALLET = Account.from_key(KEY).address.lower()


@pytest.fixture
def platform(shells, database, tmp_path):
    files = ("web_key", "ticket", "guard_token", "core/rfb.js")
    (tmp_path / "core").mkdir()
    for name in files:
        (tmp_path / name).write_text(f"content of {name}")
    secrets = {"web_key": "web_key", "ticket_private_key": "ticket", "guard_token": "guard_token"}
    port = free_port()
    made = make_platform(
        database,
        instance=shells.config.instance,
        sessions={"image_id": shells.image, "memory_mib_per_gpu": 512},
        web={"origin": f"http://localhost:{port}", "port": port},
        secrets={name: str(tmp_path / file) for name, file in secrets.items()},
        novnc_dir=tmp_path,
    )
    chain = made.deps.settings.chain
    verifier = SiweVerifier(made.clock, {chain.chain_id: chain.rpc_urls}, timeout_s=2)
    made.deps = replace(made.deps, sign_in=verifier)
    made.provisioner = RealHost(shells)
    made.add_host()
    made.credit(WALLET, 15)
    return made


@contextmanager
def serving(platform):
    """The site on its port, and a worker beside it."""
    web = platform.deps.settings.web
    server = make_server("127.0.0.1", web.port, create_app(platform.deps), threaded=True)
    over, faults = threading.Event(), []

    def work():
        while not over.wait(0.1):
            try:
                platform.work()
            except Exception as error:  # noqa: BLE001  (shown by the test, at its end)
                faults.append(error)
                return

    threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    try:
        yield web.origin
    finally:
        over.set()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
    assert faults == []


def agent(origin, *words):
    command = [sys.executable, "-m", "controller.client.agent", "--site", origin, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_an_agent_gets_a_shell_runs_a_command_and_brings_its_result_back(platform, shells, tmp_path):
    with serving(platform) as origin:
        with Axonos.with_wallet_key(origin, KEY) as owner:
            assert owner.me().available_gpu_ms == 15 * 60_000
            wish = {"name": "agent", "scopes": ["sessions:read", "sessions:write"]}
            token = tmp_path / "token"
            token.write_text(owner.post("/api/v1/tokens", **wish)["token"])
        with Axonos.with_token(origin, token.read_text()) as limited, pytest.raises(ApiError) as refused:
            limited.me()
        assert refused.value.code == "scope_needed"

        work = "mkdir 'my result' && echo 42 > 'my result/answer' && echo said && exit 7"
        options = (
            "--token-file",
            str(token),
            "--json",
            "--fetch",
            "my result",
            "--to",
            str(tmp_path / "here"),
        )
        done = agent(origin, *options, "--", work)

        told = json.loads(done.stdout)
        assert (done.returncode, told["exit_status"], told["stdout"]) == (7, 7, "said\n"), done.stderr
        assert told["fetched"] == [str(tmp_path / "here" / "my result")]
        assert (tmp_path / "here" / "my result" / "answer").read_text() == "42\n"
        assert (
            sessions.saved(platform.deps, WALLET) or sessions.current(platform.deps, WALLET).state == "ending"
        )
        platform.clock.advance(1_000)

        lost = agent(origin, "--token-file", str(token), "--fetch", "not there", "true")
        assert lost.returncode == 4
        assert "not there could not be fetched" in lost.stderr
    platform.work()
    assert sessions.current(platform.deps, WALLET) is None, "ended after a failure, too"
    assert platform.gpus() == {"free": 8}
    assert run("ls", shells.config.homes_dir / WALLET / "my result") == "answer"
