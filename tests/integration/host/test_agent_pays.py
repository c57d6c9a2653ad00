"""`axonos-agent --pay`: a shell for one payment, on a real chain, site and host, reached by OpenSSH; and its end."""

import json
import os
import subprocess
import sys
import time

import pytest
from agent_kit import CENTS_10, SIX_MINUTES, deps_for, platform_running, settings_for
from chainkit import anvil_fixture  # noqa: F401
from hostkit import run
from sqlalchemy import text
from test_shell_journey import RealHost

pytestmark = pytest.mark.integration


class RealShells(RealHost):
    """The host program, reporting all that runs."""

    def seen(self):
        return [super(RealShells, self).seen(slot) for slot in list(self.containers)]


@pytest.fixture
def platform(shells, anvil, database, database_url, tmp_path):
    settings = settings_for(
        anvil,
        database_url,
        tmp_path,
        instance=shells.config.instance,
        sessions={"image_id": shells.image, "memory_mib_per_gpu": 512},
    )
    deps = deps_for(settings, database)
    with platform_running(deps, anvil) as running:
        running.shells = RealShells(shells)
        yield running
    deps.settler.close()
    deps.chain.close()


def agent(platform, *words, key):
    """The agent as its own process: the key comes by a file that the environment names."""
    environment = {**os.environ, "AXONOS_SITE": platform.origin, "AXONOS_WALLET_KEY_FILE": str(key)}
    command = [sys.executable, "-m", "controller.client.agent", "--json", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def wallet_key(tmp_path, account):
    file = tmp_path / f"key-{account.address}"
    file.write_text(account.key.to_0x_hex() + "\n")
    return file


def states(platform):
    with platform.deps.database.begin() as db:
        return [
            state for (state,) in db.execute(text("SELECT state FROM gpu_session ORDER BY claimed_at_ms"))
        ]


def eventually(condition, patience_s=30):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


def test_one_payment_is_a_shell_a_result_and_an_end(platform, shells, tmp_path):
    account = platform.agent()
    key, wallet = wallet_key(tmp_path, account), account.address.lower()
    work = "mkdir out && echo 42 > out/answer && echo said && exit 7"
    here = tmp_path / "here"

    done = agent(platform, "--pay", "0.10", "--fetch", "out", "--to", str(here), "--", work, key=key)

    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_status"], told["stdout"]) == (7, 7, "said\n"), done.stderr
    assert (here / "out" / "answer").read_text() == "42\n"
    (row,) = platform.payments()
    assert (row.state, int(row.amount), row.payer) == ("settled", CENTS_10, wallet)
    assert told["paid"] == {"amount": str(CENTS_10), "transaction": row.tx_hash}
    eventually(lambda: states(platform) == ["ended"])
    assert platform.shells.seen() == []
    left = platform.gpu_ms(account)
    assert SIX_MINUTES - 120_000 < left < SIX_MINUTES, "it paid for seconds, and has the rest"

    # Whoever comes back finds the files, and pays nothing while there is credit.
    again = agent(platform, "--pay", "0.10", "--", "cat out/answer", key=key)
    told = json.loads(again.stdout)
    assert (told["exit_status"], told["stdout"], "paid" in told) == (0, "42\n", False), again.stderr
    assert len(platform.payments()) == 1
    eventually(lambda: states(platform) == ["ended", "ended"])
    platform.chain.mine(8)
    platform.watch()
    (event,) = platform.events()
    assert (event.state in ("credited", "final"), event.credited_gpu_ms) == (True, SIX_MINUTES)
    assert run("ls", shells.config.homes_dir / wallet / "out") == "answer"
    platform.sound()


def test_who_cannot_or_may_not_pay_is_told_and_nothing_moves(platform, tmp_path):
    poor, rich = platform.agent(usdc=CENTS_10 - 1), platform.agent()
    refused = agent(platform, "--pay", "0.10", "true", key=wallet_key(tmp_path, poor))
    error = json.loads(refused.stdout)["error"]
    assert (refused.returncode, error["code"]) == (3, "payment_refused"), refused.stderr
    assert "insufficient_balance" in error["message"]
    # The largest profile's minimum costs more than ten cents.
    bound = agent(platform, "--pay", "0.10", "--profile", "max", "true", key=wallet_key(tmp_path, rich))
    assert (bound.returncode, json.loads(bound.stdout)["error"]["code"]) == (3, "payment_refused")
    assert "nothing is USDC up to 0.10" in bound.stdout
    assert (platform.payments(), platform.gas_spent(), states(platform)) == ([], 0, [])
