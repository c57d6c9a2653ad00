"""`python -m agents`: payments by HTTP 402 against the served site; truth from raw RPC and raw SQL.

It brings its own PostgreSQL and chain. Prints one JSON object; exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore", category=DeprecationWarning)

import psycopg  # noqa: E402
import requests  # noqa: E402
from agent_kit import DOLLAR, KEY, settings_for  # noqa: E402
from chainkit import Chain, run_chain  # noqa: E402
from postgres_kit import Cluster, run_cluster  # noqa: E402

from agents.payer import Payer, payers  # noqa: E402
from agents.served import served  # noqa: E402
from controller.adapters.chain import Web3Chain  # noqa: E402
from controller.adapters.clock import SystemClock  # noqa: E402
from controller.adapters.database import PostgresDatabase  # noqa: E402
from controller.migrations import migrate  # noqa: E402
from controller.services.deposits import of_wallet as deposits  # noqa: E402
from controller.services.deps import Deps  # noqa: E402
from controller.services.hosts import registry as hosts  # noqa: E402
from controller.settings import Settings  # noqa: E402

GOALS = {
    "p95_ms": ("<=", 150),
    "settlements_per_s": (">=", 30),
    "replay_gas": ("<=", 0),
    "double_credits": ("<=", 0),
}
WARM_UP = 5
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def one_call(http: requests.Session, origin: str, payer: Payer) -> tuple[float, dict[str, str]]:
    """402, signature, session record. Returns milliseconds from the 402 to the record, and the headers sent."""
    url, asked = f"{origin}/api/x402/session", {"profile": "small", "ssh_key": KEY, "wait_s": 0}
    needed = http.post(url, json=asked)
    assert needed.status_code == 402, needed.text
    began = time.perf_counter()
    required = json.loads(base64.b64decode(needed.headers["PAYMENT-REQUIRED"]))
    headers = {"PAYMENT-SIGNATURE": payer.header(required)}
    given = http.post(url, json=asked, headers=headers)
    took = (time.perf_counter() - began) * 1000
    assert given.status_code in (200, 202), given.text
    assert given.json()["session"] is not None, given.text
    return took, headers


def many(origin: str, headers: list[dict[str, str]], at_once: int) -> float:
    """Settle payments by several connections at once; seconds for all of them."""
    local, left = threading.local(), list(headers)

    def pay(one: dict[str, str]) -> None:
        if not hasattr(local, "http"):
            local.http = requests.Session()
        while True:
            answer = local.http.get(f"{origin}/api/x402/access", headers=one)
            if answer.status_code != 503:
                break
            time.sleep(0.01)
        assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        list(pool.map(pay, left))
        return time.perf_counter() - began


def replay(origin: str, headers: list[dict[str, str]]) -> set[int]:
    """Send payments again, as whoever saw them on the chain could; the statuses."""
    with requests.Session() as http:
        return {http.get(f"{origin}/api/x402/access", headers=one).status_code for one in headers}


def double_credits(chain: Chain, cluster: Cluster, start: int) -> int:
    """Transfers on the chain and credits in the journal that do not stand one against one."""
    where = chain.deployment
    asked = {
        "address": where.usdc,
        "fromBlock": hex(start),
        "topics": [TRANSFER, None, "0x" + where.revenue_wallet[2:].lower().rjust(64, "0")],
    }
    paid: dict[str, int] = {}
    for log in chain.rpc("eth_getLogs", asked):
        payer = "0x" + log["topics"][1][-40:]
        paid[payer] = paid.get(payer, 0) + int(log["data"], 16)
    query = """SELECT a.code, sum(t.amount) FROM transfer t JOIN account a ON a.id = t.credit_id
               WHERE t.kind = 'deposit' GROUP BY a.code"""
    with psycopg.connect(host=str(cluster.socket_dir), user="postgres", dbname="bench") as db:
        credited = {str(code).removeprefix("user:"): int(amount) for code, amount in db.execute(query)}
    # A dollar is an hour on one GPU.
    right = {payer: units * 3_600_000 // DOLLAR for payer, units in paid.items()}
    return sum(credited.get(payer) != right.get(payer) for payer in right.keys() | credited.keys())


def measure(
    settings: Settings, chain: Chain, cluster: Cluster, calls: int, settlements: int
) -> dict[str, Any]:
    database = PostgresDatabase(settings.database.url)
    unused: Any = None
    deps = Deps(
        settings=settings,
        clock=SystemClock(),
        database=database,
        chains={settings.chain.chain_id: Web3Chain(settings)},
        tickets=unused,
        sign_in=unused,
        new_id=str,
    )
    for number in range((calls + WARM_UP) // 8 + 1):
        gpus = [hosts.GpuSpec(f"SIM-{number}-{index}", "simulated") for index in range(8)]
        where = {"connection": "local", "address": "localhost", "gateway_url": "ws://localhost:1"}
        hosts.register(deps, f"h{number}", gpus=gpus, simulated=True, **where)
    start = chain.rpc.head() + 1
    callers, crowd = payers(chain, calls + WARM_UP, DOLLAR), payers(chain, settlements, DOLLAR)
    with served(settings) as origin:
        with requests.Session() as http:
            took = [one_call(http, origin, payer) for payer in callers]
            terms = http.get(f"{origin}/api/x402/access")
        required = json.loads(base64.b64decode(terms.headers["PAYMENT-REQUIRED"]))
        paid = [{"PAYMENT-SIGNATURE": payer.header(required)} for payer in crowd]
        seconds = many(origin, paid, settings.web.threads)
        balance = chain.rpc("eth_getBalance", chain_sender(settings), "latest")
        told = replay(origin, [*paid, *(headers for _, headers in took)])
        spent = int(balance, 16) - int(chain.rpc("eth_getBalance", chain_sender(settings), "latest"), 16)
    assert told == {409}, told
    chain.mine(8)
    while deposits.watch_once(deps):
        pass
    times = sorted(ms for ms, _ in took[WARM_UP:])
    deps.chain.close()  # type: ignore[attr-defined]
    database.engine.dispose()
    return {
        "p50_ms": round(times[len(times) // 2], 1),
        "p95_ms": round(times[-(-95 * len(times) // 100) - 1], 1),
        "settlements_per_s": round(settlements / seconds, 1),
        "replays": len(paid) + len(took),
        "replay_gas": spent,
        "double_credits": double_credits(chain, cluster, start),
    }


def chain_sender(settings: Settings) -> str:
    from eth_account import Account

    assert settings.x402 is not None
    return str(Account.from_key(settings.x402.settlement_key.read_text()).address)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--settlements", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8)
    asked = parser.parse_args()
    with run_cluster() as cluster, run_chain() as chain, tempfile.TemporaryDirectory() as folder:
        cluster.run("CREATE DATABASE bench")
        migrate(cluster.url("bench"))
        web = {"processes": asked.processes, "threads": asked.threads}
        settings = settings_for(chain, cluster.url("bench"), Path(folder), web=web)
        figures = measure(settings, chain, cluster, asked.calls, asked.settlements)
    compare = {"<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b}
    failures = [
        f"{name} is {figures[name]}"
        for name, (sign, n) in GOALS.items()
        if not compare[sign](figures[name], n)
    ]
    how = (
        f"anvil mines each transaction at once; {asked.processes} web processes of {asked.threads} threads, "
        f"without provisioning. p95: {asked.calls} calls one after the other, from the 402's arrival to the "
        f"session's record, the client's signature included. Settlements: {asked.settlements} wallets, "
        f"{asked.threads} connections, GET access. Every payment is then sent again; credits are compared "
        "with the chain's logs after 8 more blocks"
    )
    answer = {"name": "x402", "figures": figures, "goals": GOALS, "failures": failures, "how": how}
    print(json.dumps(answer))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
