"""The stage that the bench's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chainkit import node_folder
from postgres_kit import Cluster

from deposits.crew import free_ports
from deposits.stage import Stage, make_template, run_stage
from infra.devchain.node import anvil_program


@pytest.fixture(scope="session")
def stage(postgres: Cluster) -> Iterator[Stage]:
    make_template(postgres)
    with run_stage(postgres, anvil_program(node_folder()), free_ports()) as made:
        yield made
