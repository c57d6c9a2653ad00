"""`axonos bench launch`: click to painted desktop, warm and cold, in turn with the peers on one machine."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from controller import rfb
from controller.bench import stock_run
from controller.bench.figures import Outcome, p50, p95
from controller.bench.plain_desktop import launch_ms
from controller.bench.run import WHOLE
from controller.bench.run_place import Place
from controller.errors import AxonosError
from controller.selfcheck.visitor import Visitor
from controller.settings import Settings

ABOVE_DOCKER_RUN_MS, WARM_P95_MS = 800.0, 1000.0
LOOK_TIMEOUT_S, POOL_TIMEOUT_S = 60, 120
# A page looks every 150 ms. Looking at a cold start more often would take CPU from the desktop that paints.
LOOK_AGAIN_S = {"warm": 0.02, "cold": 0.1}
PER_WALLET = 20
STOCK_EVERY = 5
STOCK_MEMORY = "1g"
STAGES = ("queue_ms", "take_ms", "ansible_ms", "host_ms", "back_ms")
INSIDE = ("home_ms", "network_ms", "create_ms", "start_ms", "mount_ms", "thaw_ms", "share_ms")
DESKTOP = ("desktop_x_ms", "desktop_programs_ms", "desktop_panel_left_ms", "desktop_painted_ms")


@dataclass
class Series:
    """Launches of one kind: milliseconds from click to painted frame, and stages of each."""

    kind: str
    profile: str
    ms: list[float] = field(default_factory=list)
    asked: int = 0
    whole: int = 0
    stages: dict[str, list[float]] = field(default_factory=dict)

    def add(self, stages: dict[str, float]) -> None:
        """Keep one launch's stages."""
        for name, ms in stages.items():
            self.stages.setdefault(name, []).append(ms)

    def figures(self) -> dict[str, float]:
        """Medians of every stage that came."""
        names = ("claim_ms", *STAGES, *INSIDE, *DESKTOP, "open_ms", "frame_ms")
        found = {name: self.stages[name] for name in names if name in self.stages}
        return {f"{self.kind}_{name.removesuffix('_ms')}_p50_ms": p50(ms) for name, ms in found.items()}


@dataclass
class Measure:
    """What a run of the benchmark stands on. `record` is a session's record, as the operator sees it."""

    settings: Settings
    place: Place
    record: Callable[[str], dict[str, Any]]
    network: str
    told: Callable[[str], None]
    plain: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    stock_whole: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def launch(self, visitor: Visitor, into: Series) -> None:
        """Launch once through HTTP, look through RFB, end; a launch that fails counts as asked for."""
        self._wait_for_pool(visitor)
        into.asked += 1
        session = None
        try:
            began = time.monotonic()
            session = visitor.launch(into.profile)
            claimed = time.monotonic()
            visitor.wait_running(look_again_s=LOOK_AGAIN_S[into.kind])
            running = time.monotonic()
            opened = asyncio.run(asyncio.wait_for(_look(visitor, session), LOOK_TIMEOUT_S))
            seen = time.monotonic()
        except (AxonosError, OSError, TimeoutError) as error:
            self.told(f"{into.kind}: {error}")
            return
        finally:
            if session:
                with suppress(AxonosError):
                    visitor.end(session)
        into.ms.append((seen - began) * 1000)
        client = {"claim_ms": claimed - began, "open_ms": opened - running, "frame_ms": seen - opened}
        stages = self._stages(session, into)
        into.add({name: s * 1000 for name, s in client.items()} | stages)

    def _stages(self, session: str, into: Series) -> dict[str, float]:
        """The start's record: of the kind that was wanted, with its play, task and stats events, or none."""
        starts = [run for run in self.record(session)["runs"] if run["playbook"] == "session_start.yml"]
        good = [run for run in starts if run.get("start") == into.kind and set(run["events"]) >= WHOLE]
        if len(starts) != 1 or not good:
            kinds = [(run.get("start"), run["state"], run["error_code"]) for run in starts]
            self.told(f"{into.kind}: session {session} has the starts {kinds}")
            return {}
        into.whole += 1
        return {name: float(ms) for name, ms in good[0]["stages"].items()}

    def docker_run(self) -> None:
        """The peer: a plain container of the same image."""
        image, uid = self.settings.sessions.image_id, self.settings.host.session_uid
        self.plain.append(asyncio.run(launch_ms(image, uid, self.network)))

    def stock_ansible(self) -> None:
        """The other peer: the same by Ansible's own modules."""
        kinds: set[str] = set()
        self.stock.append(
            stock_run.start_ms(
                self.place,
                self.settings.playbooks_dir,
                next(self.numbers),
                lambda event: kinds.add(event["event"]),
                STOCK_MEMORY,
            )
        )
        self.stock_whole += "runner_on_failed" not in kinds and kinds >= WHOLE

    def _wait_for_pool(self, visitor: Visitor) -> None:
        """Nothing is measured while the pool is being filled."""
        wanted = self.settings.pool.sizes
        visitor.wait(
            "the pool of waiting desktops",
            lambda: all(
                profile["waiting"] >= wanted.get(profile["name"], 0)
                for profile in visitor.get("profiles")["profiles"]
            ),
            POOL_TIMEOUT_S,
        )


def run(measure: Measure, runs: int) -> Outcome:
    """Measure.

    Args:
        measure: a running instance in local mode with a pool, and its operator's eyes.
        runs: launches of each kind, interleaved with the peers.
    """
    warm, cold = _kinds(measure.settings)
    done = 0
    while done < runs:
        with Visitor(measure.settings.web.origin) as visitor:
            visitor.sign_in()
            visitor.take_play_money()
            visitor.wait_credited(visitor.pay_minimum(times=8))
            for i in range(done, min(done + PER_WALLET, runs)):
                measure.docker_run()
                measure.launch(visitor, warm)
                measure.launch(visitor, cold)
                if i % STOCK_EVERY == 0:
                    measure.stock_ansible()
                last = [f"{s.kind} {s.ms[-1]:.0f}" for s in (warm, cold) if s.ms]
                measure.told(f"{i + 1} of {runs}: docker run {measure.plain[-1]:.0f}, {', '.join(last)} ms")
            done += PER_WALLET
    return _outcome(measure, warm, cold)


def _kinds(settings: Settings) -> tuple[Series, Series]:
    """A profile of which desktops wait, and one of which none does."""
    sizes = settings.pool.sizes
    pooled = [name for name in ("small", "medium", "large") if sizes.get(name, 0)]
    bare = [name for name in ("medium", "small", "large") if not sizes.get(name, 0)]
    if not pooled or not bare:
        raise AxonosError("[pool] must hold desktops of one profile and none of another, to see both.")
    return Series("warm", pooled[0]), Series("cold", bare[0])


async def _look(visitor: Visitor, session: str) -> float:
    """Open the stream and wait for a painted frame; when the stream was open, on the monotonic clock."""
    visitor.post(f"sessions/{session}/attach")
    stream = visitor.post(f"sessions/{session}/stream")
    desktop = await rfb.open_stream(stream["gateway_url"], stream["ticket"], visitor.origin)
    async with desktop:
        opened = time.monotonic()
        await rfb.wait_painted(desktop)
    return opened


def _outcome(measure: Measure, warm: Series, cold: Series) -> Outcome:
    plain, stock = measure.plain, measure.stock
    figures = {
        "warm_p50_ms": p50(warm.ms),
        "warm_p95_ms": p95(warm.ms),
        "cold_p50_ms": p50(cold.ms),
        "cold_p95_ms": p95(cold.ms),
        "docker_run_p50_ms": p50(plain),
        "docker_run_p95_ms": p95(plain),
        "stock_ansible_p50_ms": p50(stock),
        "launches": warm.asked + cold.asked,
        "successful_runs": warm.whole + cold.whole,
        "stock_runs": len(stock),
        "stock_successful": measure.stock_whole,
    }
    return Outcome(
        name="launch",
        figures=figures | warm.figures() | cold.figures(),
        goals={
            "warm_p95_ms": ("<=", WARM_P95_MS),
            "cold_p50_ms": ("<=", figures["docker_run_p50_ms"] + ABOVE_DOCKER_RUN_MS),
            "successful_runs": ("==", figures["launches"]),
            "stock_successful": ("==", figures["stock_runs"]),
        },
        how=f"{warm.asked} {warm.profile} launches from the pool and {cold.asked} {cold.profile} others,"
        " by HTTP and RFB through the gateway until panel and wallpaper are painted, counted only with play,"
        " task and stats events; each pair after one `docker run` of the same image watched through its"
        f" socket, every {STOCK_EVERY}th with a run of stock modules; {PER_WALLET} pairs a wallet and home",
    )
