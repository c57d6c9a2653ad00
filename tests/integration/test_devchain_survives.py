"""The local chain outlives a stop, a kill and a jump of its clock: nothing confirmed is lost, history can be read."""

from __future__ import annotations

import gzip
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from chainkit import ETHER, Chain, free_port, node_folder
from eth_account import Account

from infra.devchain.deploy import Deployment, read_key
from infra.devchain.rpc import Rpc

pytestmark = pytest.mark.integration


@dataclass
class Service:
    """The chain as the platform runs it: one process in a folder."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self, end_with: signal.Signals = signal.SIGTERM) -> Iterator[Chain]:
        arguments = ["run", "--node", node_folder(), "--dir", self.folder, "--port", str(self.port)]
        process = subprocess.Popen([sys.executable, "-m", "infra.devchain", *arguments])
        try:
            self.deploy()
            with closing(self.chain()) as chain:
                yield chain
        finally:
            process.send_signal(end_with)
            code = process.wait(timeout=20)
            self._wait_for_port()
        assert code == (0 if end_with is signal.SIGTERM else -end_with)

    def deploy(self) -> str:
        arguments = ["deploy", "--dir", self.folder, "--faucet-key", self.folder / "faucet_key"]
        done = subprocess.run(
            [sys.executable, "-m", "infra.devchain", *arguments, "--rpc", self.url],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def chain(self) -> Chain:
        deployment = Deployment(**json.loads((self.folder / "deployment.json").read_text()))
        keys = [read_key(self.folder / name) for name in ("faucet_key", "revenue_key")]
        return Chain(Rpc(self.url), deployment, *keys, [])

    def _wait_for_port(self) -> None:
        """anvil dies with its keeper; only then may the next one take the port."""
        for _ in range(100):
            if free_of_listener(self.port):
                return
            time.sleep(0.02)
        pytest.fail("anvil outlived the process that keeps it")


def free_of_listener(port: int) -> bool:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return not any(f":{port:04X}" in line.split()[1] and line.split()[3] == "0A" for line in listening)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path, free_port())


def wait_for(chain: Chain, tx_hash: str) -> dict:
    return chain.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=10, poll_latency=0.02)


@pytest.mark.parametrize("end_with", [signal.SIGTERM, signal.SIGKILL])
def test_a_confirmed_deposit_survives_with_the_state_it_was_made_in(service: Service, end_with):
    with service.running(end_with) as chain:
        payer = Account.create()
        chain.call(chain.faucet, chain.axgt.functions.mint(payer.address, 500))
        wait_for(chain, chain.pay(chain.faucet, ETHER))
        paid = wait_for(chain, chain.pay(chain.faucet, ETHER))
        wait_for(chain, chain.call(chain.faucet, chain.axgt.functions.mint(payer.address, 7)))
        chain.set_eth_usd(1_000_00000000)
        while chain.rpc.head() < paid["blockNumber"] + 2:
            time.sleep(0.05)
        before = _seen_at(chain, paid["blockNumber"], payer.address)
    with service.running() as chain:
        assert service.deploy() == "unchanged"
        assert chain.w3.eth.get_block(0)["hash"].to_0x_hex() == chain.deployment.genesis_hash
        assert chain.w3.eth.get_transaction_receipt(paid["transactionHash"]) == paid
        assert _seen_at(chain, paid["blockNumber"], payer.address) == before
        assert before["axgt"] == 500
        assert before["balance"] - before["balance before"] == ETHER


def test_the_chain_is_the_same_however_often_it_starts(service: Service):
    """anvil makes a genesis block at each start; only the first is the chain's."""
    with service.running() as chain:
        first = chain.deployment.genesis_hash
        wait_for(chain, chain.pay(chain.faucet, ETHER))
    for _ in range(5):
        with service.running() as chain:
            assert chain.w3.eth.get_block(0)["hash"].to_0x_hex() == first
            assert service.deploy() == "unchanged"
        dump = json.loads(gzip.decompress((service.folder / "state.json.gz").read_bytes()))
        assert len(dump["blocks"]) <= dump["best_block_number"] + 2


def _seen_at(chain: Chain, number: int, payer: str) -> dict:
    """What crediting a deposit reads at its block, by hash."""
    block, parent = chain.w3.eth.get_block(number), chain.w3.eth.get_block(number - 1)
    revenue = chain.deployment.revenue_wallet
    return {
        "hash": block["hash"],
        "axgt": chain.axgt.functions.balanceOf(payer).call(block_identifier=block["hash"]),
        "price": chain.eth_usd.functions.latestRoundData().call(block_identifier=block["hash"]),
        "balance": chain.w3.eth.get_balance(revenue, block["hash"]),
        "balance before": chain.w3.eth.get_balance(revenue, parent["hash"]),
    }


def test_whatever_has_two_confirmations_survives_a_kill_at_any_moment(service: Service):
    for _ in range(3):
        with service.running(signal.SIGKILL) as chain:
            sent = [chain.pay(chain.faucet, ETHER // 1000) for _ in range(40)]
            while (last := chain.receipt(sent[-1])) is None:
                time.sleep(0.001)
            head = int(last["blockNumber"], 16)
            receipts = [chain.receipt(tx_hash) for tx_hash in sent]
        with service.running() as chain:
            kept = {r["transactionHash"]: r for r in map(chain.receipt, sent) if r}
            for receipt in receipts:
                if int(receipt["blockNumber"], 16) < head:
                    assert kept[receipt["transactionHash"]]["blockHash"] == receipt["blockHash"]


def test_simulated_days_go_on_after_a_restart(service: Service):
    with service.running() as chain:
        chain.increase_time(48 * 3600)
        paid = wait_for(chain, chain.pay(chain.faucet, ETHER))
        block = chain.w3.eth.get_block(paid["blockNumber"])
        assert block["timestamp"] - time.time() > 48 * 3600 - 60
        price = chain.eth_usd.functions.latestRoundData().call(block_identifier=block["hash"])
        assert price[3] == block["timestamp"]
    with service.running() as chain:
        later = chain.w3.eth.get_block(wait_for(chain, chain.pay(chain.faucet, ETHER))["blockNumber"])
        assert 0 <= later["timestamp"] - block["timestamp"] < 120


def test_blocks_come_every_second_and_a_transaction_need_not_wait(service: Service):
    with service.running() as chain:
        started, head = time.monotonic(), chain.rpc.head()
        for _ in range(4):
            wait_for(chain, chain.pay(chain.faucet, ETHER))
        assert time.monotonic() - started < 3
        while chain.rpc.head() < head + 8:
            time.sleep(0.05)
        assert 2 < time.monotonic() - started < 12


RENEWING = """
import sys
from pathlib import Path
from infra.devchain import keeper
from infra.devchain.node import anvil_program
keeper.BLOCK_S, keeper.RENEW_AFTER_BLOCKS, keeper.RENEW_IDLE_S = 0.05, 10, 0.2
keeper.Keeper(anvil_program(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])).run()
"""


def test_anvil_is_renewed_and_nothing_changes_but_its_memory(service: Service):
    with service.running() as chain:
        paid = wait_for(chain, chain.pay(chain.faucet, ETHER))
    arguments = [node_folder(), service.folder, str(service.port)]
    process = subprocess.Popen([sys.executable, "-c", RENEWING, *arguments])
    try:
        rpc = Rpc(service.url)
        rpc.wait(20)
        first, head = children(process.pid), rpc.head()
        while children(process.pid) == first or head < paid["blockNumber"] + 25:
            time.sleep(0.1)
            head = answered(rpc, "eth_blockNumber") or head
        receipt = answered(rpc, "eth_getTransactionReceipt", paid["transactionHash"].to_0x_hex())
        assert receipt["blockHash"] == paid["blockHash"].to_0x_hex()
        rpc.close()
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def answered(rpc: Rpc, method: str, *parameters: str):
    """What the node says, once it is there again."""
    rpc.wait(20)
    answer = rpc(method, *parameters)
    return int(answer, 16) if isinstance(answer, str) else answer


def test_keys_are_random_private_and_not_prefunded(service: Service, tmp_path_factory):
    with service.running() as chain:
        assert chain.rpc("eth_accounts") == []
        keys = [service.folder / "faucet_key", service.folder / "revenue_key"]
        assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600, 0o600]
        assert chain.w3.eth.get_balance(chain.revenue.address) == 0
    other = read_key(tmp_path_factory.mktemp("other") / "faucet_key")
    assert other.address != chain.faucet.address
