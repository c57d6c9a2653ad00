"""The gateway fixture."""

import pytest
from gatewaykit import GatewayKit


@pytest.fixture
def gateway(tmp_path):
    kit = GatewayKit(tmp_path, 7000)
    yield kit
    kit.stop()
