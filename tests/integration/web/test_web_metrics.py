"""Figures for monitoring: for machines that hold the guard's token, and nobody else."""

from __future__ import annotations

import pytest
from web_kit import Site

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_nobody_reads_them_without_the_token(site: Site, header: dict[str, str]) -> None:
    assert site.app.test_client().get("/internal/metrics", headers=header).status_code == 401


def test_they_are_prometheus_text_at_any_name_of_the_host(site: Site) -> None:
    token = {"Authorization": "Bearer the-guards-token"}
    answer = site.app.test_client().get("/internal/metrics", headers=token, base_url="http://10.0.0.7:8080")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert "axonos_pool_memory_mib 0" in answer.text
    assert 'axonos_promises_total{outcome="kept"} 0' in answer.text
