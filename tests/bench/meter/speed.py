"""How fast the meter and the claims are, on a database that commits durably."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from postgres_kit import Cluster
from session_kit import make_platform

from controller.adapters.database import PostgresDatabase
from controller.services.money import metering
from controller.services.sessions import facade as sessions
from controller.worker import collector
from meter.day import fresh_database
from meter.stories import HOUR, Story
from meter.world import World

TICKS, CLAIMS, THREADS = 7, 240, 8


def tick_ms(cluster: Cluster, count: int) -> list[int]:
    """Milliseconds of single ticks that charge so many sessions."""
    rich = [Story(n, 1 << n % 4, n % 40, 1_000, 1_000 * HOUR) for n in range(count)]
    with fresh_database(cluster) as url:
        world = World(url, rich, seed=1)
        took = []
        world.start(rich)
        collector.calm()  # as a worker does
        for _ in range(TICKS):
            world.true_ms += 20_000  # in all less than the absence an unwatched desktop is given
            world.reports()
            began = time.perf_counter()
            charged = metering.tick(world.deps)
            took.append(round((time.perf_counter() - began) * 1000))
            assert charged == count
        world.close()
    return took


def claims_per_s(cluster: Cluster) -> float:
    """Claims a second that get GPUs at once, from people who click at the same time."""
    with fresh_database(cluster) as url:
        database = PostgresDatabase(url, pool_size=THREADS)
        platform = make_platform(database)
        wallets = [f"0x{number:040x}" for number in range(1, CLAIMS + 1)]
        for number in range(CLAIMS // 8):
            platform.add_host(f"host-{number}", gpus=8)
        for wallet in wallets:
            platform.credit(wallet, 60)
        with ThreadPoolExecutor(THREADS) as pool:
            began = time.perf_counter()
            views = list(pool.map(lambda wallet: sessions.claim(platform.deps, wallet, "small"), wallets))
            took = time.perf_counter() - began
        database.engine.dispose()
    assert {view.state for view in views} == {"starting"}
    return round(CLAIMS / took, 1)
