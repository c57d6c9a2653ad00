"""Labels of hosts: one model or none, and which claims they suit."""

from __future__ import annotations

import pytest

from controller.domain.gpu_models import host_label, suits, unsuited
from controller.domain.placement import FreeHost, place
from controller.domain.queue import NO_FREE_GPUS, Waiting, first_fit

HOSTS = [FreeHost("old", ("o1", "o2"), model="T4"), FreeHost("new", ("n1", "n2", "n3"), model="H100")]


@pytest.mark.parametrize(
    ("models", "label"),
    [
        (["H100", "H100"], "H100"),
        (["H100", "A100"], ""),
        (["unknown"], ""),
        (["unknown", "H100"], ""),
        ([], ""),
    ],
)
def test_a_host_has_the_label_that_all_its_gpus_share(models, label):
    assert host_label(models) == label


def test_who_asks_for_nothing_takes_any_host_and_nobody_takes_one_without_a_label():
    labels = {"old": "T4", "new": "H100", "mixed": ""}
    assert unsuited("", labels) == frozenset()
    assert unsuited("H100", labels) == {"old", "mixed"}
    assert not suits("H100", "")


def test_first_fit_places_a_claim_on_its_model_only_and_goes_on_behind_it():
    claims = [Waiting("big", 4, model="H100"), Waiting("one", 1, model="H100"), Waiting("any", 2)]
    decided = first_fit(claims, HOSTS)
    assert {claim: where.host for claim, where in decided.starts} == {"one": "new", "any": "new"}
    assert [(one.id, one.text) for one in decided.reasons] == [("big", NO_FREE_GPUS)]
    assert place(1, HOSTS, "A100") is None
