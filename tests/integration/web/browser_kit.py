"""The whole site for a real browser: a real chain, a worker in a thread, desktops that start at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chainkit import Chain, free_port, node_folder
from fakes import make_settings
from instant_sessions import InstantSessions
from tiny_gateway import TinyGateway
from werkzeug.serving import make_server

from controller.app import create_app
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.hosts import registry as hosts
from controller.services.money import metering
from controller.services.queue import placing
from controller.services.reports import guard_reports
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.services.sessions import expiry
from controller.settings import Local, Settings


def settings_for(chain: Chain, database_url: str, folder: Path, gateway_port: int, port: int) -> Settings:
    """Local mode on free ports, with the chain's own addresses."""
    made = chain.deployment
    (folder / "faucet_key").write_text(chain.faucet.key.hex())
    for name in ("web_key", "ticket", "guard_token"):
        (folder / name).write_text(f"content of {name}")
    packages = node_folder() / "node_modules"
    secrets = {"web_key": "web_key", "ticket_private_key": "ticket", "guard_token": "guard_token"}
    return make_settings(
        database_url,
        mode="local",
        web={"origin": f"http://localhost:{port}", "port": port},
        gateway={"url": f"ws://localhost:{gateway_port}", "port": gateway_port},
        chain={
            "rpc_urls": [chain.rpc_url],
            "genesis_hash": made.genesis_hash,
            "revenue_wallet": made.revenue_wallet,
            "confirmations": 3,
        },
        eth={"usd_feed": made.eth_usd_feed},
        axgt={
            "contract": made.axgt,
            "enabled": True,
            "pool": made.axgt_pool,
            "second_feed": made.axgt_usd_feed,
        },
        usdc={"contract": made.usdc, "usd_feed": made.usdc_usd_feed},
        sessions={"heartbeat_s": 5},
        # An hour for a Max, less than the default: an evening's balance reaches past its promise.
        queue={"slack_minutes_per_gpu": 7},
        secrets={name: str(folder / file) for name, file in secrets.items()},
        local=Local(
            faucet_key=folder / "faucet_key", ethers_js=packages / "ethers" / "dist" / "ethers.min.js"
        ),
        novnc_dir=packages / "@novnc" / "novnc",
    )


class PlainTickets:
    """Implements `ports.TicketSigner`; the tiny gateway takes any ticket."""

    def sign(self, payload: bytes) -> bytes:
        return b"signed:" + payload[:4]


@dataclass
class Running:
    """A site that is up."""

    origin: str
    deps: Deps
    chain: Chain
    gateway: TinyGateway
    desktops: InstantSessions
    faults: list[Exception] = field(default_factory=list)

    def step(self) -> None:
        """What worker and guard do in a moment."""
        self.chain.mine()
        deposits.watch_once(self.deps)
        placing.promote(self.deps)
        while taken := runs.take(self.deps, "test"):
            run_work.work(self.deps, self.desktops, taken)
        body = {"host": "local", "at_ms": self.deps.clock.now_ms(), "slots": self.desktops.seen()}
        guard_reports.report(self.deps, body)
        metering.tick(self.deps)
        expiry.expire(self.deps)


@contextmanager
def site_running(deps: Deps, chain: Chain, gateway: TinyGateway) -> Iterator[Running]:
    """Serve the site and do its work until the block ends; a fault of the work fails the test."""
    web = deps.settings.web
    gpus = [hosts.GpuSpec(f"SIM-{index}", "simulated") for index in range(8)]
    url = deps.settings.gateway.url
    hosts.register(
        deps, "local", connection="local", address="localhost", gateway_url=url, gpus=gpus, simulated=True
    )
    running = Running(web.origin, deps, chain, gateway, InstantSessions())
    server = make_server("127.0.0.1", web.port, create_app(deps), threaded=True)
    server.daemon_threads = False  # so that closing the server waits for requests on their way
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.25):
            try:
                running.step()
            except Exception as error:  # noqa: BLE001  (shown by the test, at its end)
                running.faults.append(error)
                return

    threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        over.set()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
    assert running.faults == []


__all__ = ["PlainTickets", "Running", "free_port", "settings_for", "site_running"]
