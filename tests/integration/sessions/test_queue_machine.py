"""The queue on a real database under any order of claims, ends, top-ups and time, by both policies.

No GPU twice; under `first-fit` nobody who could start waits; under `promise` who waits beside enough free
GPUs has a recorded reason, every promise is kept and none is moved; a session's windows touch.
"""

from __future__ import annotations

import contextlib
import os
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from session_kit import MINUTE, Platform, make_platform
from sqlalchemy import text

from controller.domain.queue import NO_FREE_GPUS
from controller.errors import AxonosError
from controller.services.money import ledger
from controller.services.queue.promises import counted
from controller.services.runs import orders as runs
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
WALLETS = ["0x" + f"{n:02x}" * 20 for n in range(0xA1, 0xA8)]
HOSTS = {"one": 8, "two": 4}
# Little slack and short guarantees: promises are tight here, so that they are tested.
TIGHT = {"slack_percent": 0, "slack_minutes_per_gpu": 1, "least_guarantee_minutes": 1, "drain_max_minutes": 5}
TABLES = """usage_window, hold, warning, session_event, run_event, run, gpu_session, gpu, slot, host, transfer,
            journal_batch, operator_alert, account, wallet, promise, queue_place"""
OFTEN = ["claim"] * 5 + ["end"] * 2 + ["top_up"] + ["time"] * 4 + ["accept"]
SEEDED = os.environ.get("HYPOTHESIS_SEED")


class Queue(RuleBasedStateMachine):
    """People at the queue; the worker does what is due after each step."""

    database: Any = None
    policy = "promise"

    @initialize()
    def begin(self) -> None:
        with self.database.begin() as db:
            db.execute(text("SET session_replication_role = replica"))
            db.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        queue = {"policy": self.policy, **TIGHT}
        self.platform: Platform = make_platform(self.database, queue=queue, sessions={"grace_minutes": 2})
        self.promised: dict[str, int] = {}
        for name, gpus in HOSTS.items():
            self.platform.add_host(name, gpus)
        for number, wallet in enumerate(WALLETS):
            self.platform.credit(wallet, 20 + 30 * number)

    @rule(draw=st.data())
    def step(self, draw: Any) -> None:
        """One thing happens; one rule for all, so that each example mixes them."""
        who, what = draw.draw(st.sampled_from(WALLETS)), draw.draw(st.sampled_from(OFTEN))
        live = sessions.current(self.platform.deps, who)
        with contextlib.suppress(AxonosError):  # a refusal is an answer
            if what == "claim":
                profile = draw.draw(st.sampled_from(["small", "medium", "large", "large", "max", "max"]))
                bounded = draw.draw(st.booleans())
                sessions.claim(self.platform.deps, who, profile, accept_bounded=bounded)
            elif what == "time":
                for _ in range(draw.draw(st.integers(1, 8))):
                    self.minute()
            elif what == "top_up":
                self.platform.credit(who, draw.draw(st.integers(1, 60)))
            elif what == "end" and live:
                sessions.end(self.platform.deps, who, live.id)
            elif what == "accept" and live and live.queue:
                sessions.accept(self.platform.deps, who, live.id, live.queue.offer_until_ms)
        self.work()

    def minute(self) -> None:
        self.platform.clock.advance(MINUTE)
        for name in HOSTS:
            self.report(name)
        expiry.expire(self.platform.deps)
        self.work()

    def report(self, name: str) -> None:
        on = {slot for (slot,) in self.platform.rows("SELECT id FROM slot WHERE host = :h", h=name)}
        alive = sorted(on & self.platform.provisioner.containers.keys())
        self.platform.report(name, slots=[self.platform.provisioner.seen(slot) for slot in alive])

    def work(self) -> None:
        """Whatever is due; whoever has a desktop leaves it running."""
        self.platform.work()
        for wallet, session in self.platform.rows(
            "SELECT wallet, id FROM gpu_session WHERE state IN ('running', 'grace') AND NOT detached"
        ):
            sessions.detach(self.platform.deps, wallet, session)

    @invariant()
    def no_gpu_is_in_two_desktops(self) -> None:
        alive = self.platform.provisioner.containers
        given = [
            set(request["gpus"])
            for playbook, request in self.platform.provisioner.requests
            if playbook == runs.START and request["slot"] in alive
        ]
        assert not [1 for one, other in combinations(given, 2) if one & other]

    @invariant()
    def who_waits_has_a_reason(self) -> None:
        free = dict(self.platform.rows("SELECT host, count(*) FROM gpu WHERE state = 'free' GROUP BY host"))
        for gpus, why, reserved in self.platform.rows(
            """SELECT s.gpus, s.why, p.reserved FROM gpu_session s
               JOIN queue_place p ON p.session_id = s.id WHERE s.state = 'queued'"""
        ):
            beside = {host for host, count in free.items() if count >= gpus}
            if self.policy == "first-fit":
                assert not beside, "a claim that could start waits"
            assert beside <= {one["host"] for one in reserved}
            assert why == NO_FREE_GPUS or (beside and why.startswith("GPUs reserved until "))
            assert all(one["claims"] for one in reserved)

    @invariant()
    def promises_stand_and_are_kept(self) -> None:
        now = dict(self.platform.rows("SELECT session_id, latest_ms FROM promise"))
        assert self.promised.items() <= now.items(), "a promise was moved or taken back"
        self.promised = now
        with self.platform.deps.database.begin() as db:
            count = counted(db)
        assert (count.broken, count.missed) == (0, 0)
        assert (self.policy == "promise") or not now
        late = """SELECT 1 FROM promise p JOIN gpu_session s ON s.id = p.session_id
                  WHERE s.state = 'queued' AND p.latest_ms < :now"""
        assert self.platform.rows(late, now=self.platform.clock.now_ms()) == []

    def teardown(self) -> None:
        """Windows touch, each used one has its charge, and everything adds up."""
        if hasattr(self, "platform"):
            assert ledger.audit(self.platform.deps) == []


@pytest.mark.parametrize("policy", ["promise", "first-fit"])
def test_the_queue_keeps_its_word_whatever_happens(database, policy):
    Queue.database, Queue.policy = database, policy
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=6,
            stateful_step_count=30,
            deadline=None,
            derandomize=SEEDED is None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
