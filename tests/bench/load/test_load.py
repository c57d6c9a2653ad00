"""The bench in short: real web and worker, a small crowd; a page that is refused is found."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_kit import Cluster, run_cluster

from controller.migrations import migrate
from load.__main__ import free_port, measured
from load.instance import Instance, configured, populate

WANTED = argparse.Namespace(heartbeat_s=1.0, seconds=3.0)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with run_cluster() as made:
        made.run("CREATE DATABASE load")
        migrate(made.url("load"))
        yield made


@pytest.fixture
def made(cluster: Cluster, tmp_path: Path) -> Instance:
    found = configured(tmp_path, cluster.url("load"), free_port(), free_port())
    populate(found, cluster.url("load"), 20, 3)
    return found


def test_a_small_crowd_is_served_and_billed_and_a_stranger_among_it_is_counted(
    cluster: Cluster, made: Instance
) -> None:
    made.people[7]["token"] = "a stranger's"
    figures = measured(made, cluster, WANTED)
    assert 1 <= figures["failed"] <= 4, "one page of twenty, at each of its beats"
    assert (figures["sessions"], figures["hosts"], figures["unbilled"]) == (20, 3, 0)
    assert 0 < figures["p50_ms"] <= figures["p95_ms"]
    assert figures["web_cores"] > 0 < figures["rss_mib"]
