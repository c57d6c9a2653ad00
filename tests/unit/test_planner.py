"""The policy `promise`: promises are kept and never moved, GPUs never shared, waits beside free GPUs explained."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.bench.queue.policies import PROTOTYPE
from controller.domain.planner import Decision, Host, Policy, Running, Slot, Waiting, plan

MIN = 60_000
HOUR = 60 * MIN
TWO_HOSTS = [Host("a", 8), Host("b", 8)]
TWO_MODELS = [Host("a", 8, model="A"), Host("b", 8, model="B")]


def decide(now=0, hosts=TWO_HOSTS, sessions=(), claims=(), **kw) -> Decision:
    return plan(now, hosts, sessions, claims, policy=Policy(**kw))


def test_a_claim_that_fits_starts_on_the_fullest_host_for_its_whole_balance():
    running = Running("r", "b", 4, 9 * HOUR, 9 * HOUR)
    (start,) = decide(sessions=[running], claims=[Waiting("c", 2, 0, HOUR)]).starts
    assert (start.host, start.until, start.bounded) == ("b", HOUR, False)


def test_a_claim_that_waits_is_promised_the_end_of_the_balance_before_it_with_slack():
    full = [Running(h.name, h.name, 8, 2 * HOUR, 2 * HOUR) for h in TWO_HOSTS]
    decided = decide(sessions=full, claims=[Waiting("c", 8, 0, HOUR)])
    assert not decided.starts
    assert decided.promises == {"c": 2 * HOUR + HOUR + 8 * HOUR}
    assert decided.slots["c"].start == decided.wake_at == 2 * HOUR
    assert not decided.reserved  # there is no free GPU it could have had


def test_a_smaller_claim_overtakes_where_it_is_through_before_the_promised_start():
    half = [Running("r", "a", 4, 3 * HOUR, 3 * HOUR)]
    max_ = Waiting("max", 8, 0, HOUR)
    decided = decide(
        hosts=[Host("a", 8)], sessions=half, claims=[max_, Waiting("small", 1, 1, 2 * HOUR)], now=1
    )
    assert [start.claim for start in decided.starts] == ["small"]
    assert decided.slots["max"].start == 3 * HOUR
    assert decided.reserved == {}


def test_a_claim_for_a_gpu_model_takes_no_other_and_blocks_nobody():
    asks = Waiting("b-only", 8, 0, HOUR, model="B")
    busy = [Running("r", "b", 1, 3 * HOUR, 3 * HOUR)]
    decided = decide(hosts=TWO_MODELS, sessions=busy, claims=[asks, Waiting("any", 8, 1, HOUR)], now=1)
    assert [(start.claim, start.host) for start in decided.starts] == [("any", "a")]
    assert (decided.slots["b-only"].host, decided.slots["b-only"].start) == ("b", 3 * HOUR)
    assert not decided.reserved.get("b-only"), "what is free elsewhere is not kept from it"
    nowhere = decide(hosts=TWO_MODELS, claims=[Waiting("c", 1, 0, HOUR, model="C")])
    assert (nowhere.starts, nowhere.promises) == ([], {})


def promised_max(now: int = 0) -> Waiting:
    return Waiting("max", 8, 0, HOUR, promise=now + 3 * HOUR, slot=Slot("a", 3 * HOUR, HOUR))


def test_gpus_promised_to_another_are_given_only_until_then_and_only_to_who_accepts():
    half = [Running("r", "a", 4, 3 * HOUR, 3 * HOUR)]
    waits = Waiting("long", 2, 1, 5 * HOUR)
    decided = decide(hosts=[Host("a", 8)], sessions=half, claims=[promised_max(), waits], now=1)
    assert not decided.starts
    assert decided.offers == {"long": 3 * HOUR}
    (reserved,) = decided.reserved["long"]
    assert (reserved.host, reserved.kind, reserved.claims) == ("a", "promised", ("max",))
    accepts = Waiting("long", 2, 1, 5 * HOUR, accept_bounded=True)
    (start,) = decide(hosts=[Host("a", 8)], sessions=half, claims=[promised_max(), accepts], now=1).starts
    assert (start.until, start.bounded) == (3 * HOUR, True)


def test_a_guarantee_shorter_than_half_of_what_is_paid_is_not_offered():
    half = [Running("r", "a", 4, 3 * HOUR, 3 * HOUR)]
    waits = Waiting("long", 2, 1, 7 * HOUR, accept_bounded=True)
    decided = decide(hosts=[Host("a", 8)], sessions=half, claims=[promised_max(), waits], now=1)
    assert not decided.starts
    assert not decided.offers


def test_a_top_up_lasts_where_no_promise_is_in_its_way():
    session = Running("r", "a", 8, bound=5 * HOUR, until=2 * HOUR)
    assert decide(sessions=[session], claims=[]).stays == {}
    assert plan(0, TWO_HOSTS, [session], [], policy=Policy(), topped_up={"r"}).stays == {"r": 5 * HOUR}


def test_a_top_up_does_not_push_a_promised_start():
    session = Running("r", "a", 8, bound=5 * HOUR, until=2 * HOUR)
    promised = Waiting("max", 8, 0, HOUR, promise=2 * HOUR, slot=Slot("a", 2 * HOUR, HOUR))
    decided = plan(1, [Host("a", 8)], [session], [promised], policy=Policy(), topped_up={"r"})
    assert decided.stays == {}
    at_its_end = plan(2 * HOUR, [Host("a", 8)], [session], [promised], policy=Policy())
    assert at_its_end.ends == {"r": "max"}
    assert [start.claim for start in at_its_end.starts] == ["max"]


def test_a_guarantee_that_is_over_goes_on_while_nobody_needs_the_gpus():
    session = Running("r", "a", 2, bound=5 * HOUR, until=HOUR)
    assert decide(now=HOUR, sessions=[session]).stays == {"r": 5 * HOUR}


def test_the_longer_a_large_claim_waits_the_shorter_others_stay_on_its_host():
    half = [Running("r", "a", 4, 34 * HOUR, 34 * HOUR)]
    max_ = Waiting("max", 8, 0, HOUR, promise=60 * HOUR, slot=Slot("a", 34 * HOUR, HOUR))
    brief, short, long = (
        Waiting(name, 1, 12 * HOUR, stay)
        for name, stay in (("brief", HOUR), ("short", 8 * HOUR), ("long", 12 * HOUR))
    )
    asked = {"hosts": [Host("a", 8)], "sessions": half, "claims": [max_, brief, short, long]}
    started = {
        at: [start.claim for start in decide(now=at * HOUR, **asked).starts] for at in (13, 14, 20, 26, 27)
    }
    assert started == {
        13: ["brief", "long", "short"],
        14: ["brief", "short"],
        20: ["brief"],
        26: ["brief"],
        27: [],
    }
    decided = decide(now=26 * HOUR, **asked)
    assert {name: kept[0].kind for name, kept in decided.reserved.items()} == dict.fromkeys(
        ("short", "long"), "drain"
    )
    assert decided.slots["max"].start == 34 * HOUR


def test_a_promise_goes_ahead_of_a_drain_and_the_host_is_drained_all_the_same():
    sessions = [Running("r", "a", 2, 10 * HOUR, 10 * HOUR)]
    max_ = Waiting("max", 8, 0, HOUR, promise=40 * HOUR)
    promised = Waiting("promised", 4, HOUR, 12 * HOUR, promise=3 * HOUR)
    newcomer = Waiting("newcomer", 2, 2 * HOUR, 20 * HOUR)
    asked = {"now": 2 * HOUR, "hosts": [Host("a", 8)], "sessions": sessions}
    decided = decide(**asked, claims=[max_, promised, newcomer])
    assert [start.claim for start in decided.starts] == ["promised"]
    assert (decided.drained_for, decided.slots["max"].start) == ("max", 14 * HOUR)
    assert decided.slots["newcomer"].start == 15 * HOUR
    assert decide(**asked, claims=[max_, promised, newcomer], ahead_of_drain=0).drained_for is None


def crowd(host: str, left: int) -> list[Running]:
    """Eight sessions of one GPU each that may all stay about as long."""
    return [Running(f"{host}{n}", host, 1, left - n, left - n) for n in range(8)]


ALONE = Running("alone", "b", 8, 12 * HOUR, 12 * HOUR)
PATIENT = Waiting("max", 8, -2 * HOUR, HOUR, promise=20 * HOUR)


def test_the_host_is_drained_that_will_probably_be_empty_first():
    sessions = [*crowd("a", 10 * HOUR), ALONE]
    decided = decide(sessions=sessions, claims=[PATIENT])
    assert (decided.drained_for, decided.slots["max"]) == ("max", Slot("b", 12 * HOUR, HOUR))
    assert decide(sessions=sessions, claims=[replace(PATIENT, promise=11 * HOUR)]).slots["max"].host == "a"
    assert decide(sessions=sessions, claims=[replace(PATIENT, arrived=0)]).slots["max"].host == "a"


def test_the_prototype_drains_the_host_that_is_planned_first():
    sessions = [*crowd("a", 10 * HOUR), ALONE]
    assert plan(0, TWO_HOSTS, sessions, [PATIENT], policy=PROTOTYPE).slots["max"].host == "a"


def test_a_claim_that_is_drained_for_at_once_is_promised_the_earliest_place():
    sessions = [*crowd("a", 10 * HOUR), ALONE]
    decided = decide(sessions=sessions, claims=[replace(PATIENT, promise=None)])
    assert (decided.drained_for, decided.slots["max"].host) == ("max", "a")


@pytest.mark.parametrize(("left", "moves"), [(9, False), (7, False), (5, True)])
def test_the_place_of_a_claim_moves_only_to_a_host_that_will_be_empty_much_sooner(left, moves):
    placed = replace(PATIENT, slot=Slot("a", 10 * HOUR, HOUR))
    sessions = [*crowd("a", 10 * HOUR), *crowd("b", left * HOUR)]
    assert decide(sessions=sessions, claims=[placed]).slots["max"].host == ("b" if moves else "a")


def test_a_host_where_a_promise_goes_ahead_is_not_the_first_to_be_empty():
    soon = Running("soon", "a", 1, HOUR, HOUR)
    later = Running("later", "b", 8, 3 * HOUR, 3 * HOUR)
    ahead = Waiting("ahead", 8, -HOUR, 12 * HOUR, promise=HOUR)
    decided = decide(sessions=[soon, later], claims=[PATIENT, ahead])
    assert decided.drained_for == "max"
    assert (decided.slots["ahead"].host, decided.slots["max"].host) == ("a", "b")


def test_a_top_up_that_makes_a_host_full_for_long_moves_the_drain_at_once():
    topped_up = replace(ALONE, bound=50 * HOUR)
    decided = plan(
        0,
        TWO_HOSTS,
        [*crowd("a", 10 * HOUR), topped_up],
        [replace(PATIENT, promise=60 * HOUR, slot=Slot("b", 12 * HOUR, HOUR))],
        policy=Policy(),
        topped_up={"alone"},
    )
    assert decided.stays == {"alone": 50 * HOUR}
    assert (decided.drained_for, decided.slots["max"].host) == ("max", "a")


def test_a_lost_host_leaves_the_other_promises_alone():
    claims = [
        Waiting("x", 8, 0, HOUR, promise=3 * HOUR, slot=Slot("a", 2 * HOUR, HOUR)),
        Waiting("y", 8, 0, HOUR, promise=150 * MIN, slot=Slot("b", 2 * HOUR, HOUR)),
    ]
    busy = Running("r", "b", 8, 2 * HOUR, 2 * HOUR)
    decided = plan(HOUR, [Host("b", 8)], [busy], claims, policy=Policy())
    assert decided.slots["y"].start == 2 * HOUR
    assert decided.slots["x"].start == 3 * HOUR
    assert not decided.promises


def test_a_claim_no_host_can_hold_waits_without_a_promise_and_holds_nobody_up():
    decided = decide(hosts=[Host("a", 4)], claims=[Waiting("max", 8, 0, HOUR), Waiting("c", 4, 1, HOUR)])
    assert [start.claim for start in decided.starts] == ["c"]
    assert not decided.promises


sizes = st.sampled_from([1, 2, 4, 8])
lengths = st.integers(1, 300).map(lambda minutes: minutes * MIN)


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, int, int, int]]:
    """Events: (what, after minutes, GPUs, length)."""
    kinds = st.sampled_from(["claim", "claim", "claim", "end", "top-up", "cancel"])
    return draw(st.lists(st.tuples(kinds, st.integers(0, 120), sizes, lengths), min_size=1, max_size=40))


class House:
    """Lives through events with the planner, and checks each decision against what was said before."""

    def __init__(self, hosts: list[Host], policy: Policy, *, accept: bool) -> None:
        self.hosts, self.policy, self.accept = hosts, policy, accept
        self.now = 0
        self.sessions: dict[str, Running] = {}
        self.claims: dict[str, Waiting] = {}

    def wait(self, until: int) -> None:
        """Planned starts, ends of balances and ends of guarantees happen on the way."""
        while True:
            due = [s.until for s in self.sessions.values()] + [
                c.slot.start for c in self.claims.values() if c.slot
            ]
            following = min((instant for instant in due if instant > self.now), default=until)
            self.now = min(following, until)
            for session in [s for s in self.sessions.values() if s.bound <= self.now]:
                del self.sessions[session.id]
            self.ask()
            if self.now == until:
                return

    def ask(self, topped_up: frozenset[str] = frozenset()) -> None:
        claims = list(self.claims.values())
        decided = plan(
            self.now, self.hosts, self.sessions.values(), claims, policy=self.policy, topped_up=topped_up
        )
        for name, until in decided.stays.items():
            old = self.sessions[name]
            assert old.until < until <= old.bound
            self.sessions[name] = Running(name, old.host, old.gpus, old.bound, until)
        for name in decided.ends:
            assert self.sessions.pop(name).until <= self.now
        self._promise(decided)
        for start in decided.starts:
            claim = self.claims.pop(start.claim)
            assert claim.promise is None or self.now <= claim.promise
            assert self.accept or not start.bounded
            assert self._suits(claim, start.host)
            bound = self.now + claim.length
            self.sessions[claim.id] = Running(claim.id, start.host, claim.gpus, bound, start.until)
        self._nothing_overlaps(decided)
        self._waits_are_explained(decided)

    def _promise(self, decided: Decision) -> None:
        started = {start.claim for start in decided.starts}
        for name, claim in list(self.claims.items()):
            if name in started:
                continue
            assert (claim.promise is None) == (name in decided.promises)
            promise = decided.promises.get(name, claim.promise)
            slot = decided.slots[name]
            assert promise is not None
            assert self.now < slot.start <= promise
            assert self._suits(claim, slot.host)
            self.claims[name] = replace(claim, promise=promise, accept_bounded=self.accept, slot=slot)

    def _suits(self, claim: Waiting, host: str) -> bool:
        label = next(one.model for one in self.hosts if one.name == host)
        return claim.model in ("", label)

    def _nothing_overlaps(self, decided: Decision) -> None:
        taken = defaultdict(list)
        for s in self.sessions.values():
            taken[s.host].append((self.now, s.until, s.gpus))
        for name, slot in decided.slots.items():
            taken[slot.host].append((slot.start, slot.start + slot.length, self.claims[name].gpus))
        for host in self.hosts:
            for instant in {start for start, _, _ in taken[host.name]}:
                used = sum(gpus for start, end, gpus in taken[host.name] if start <= instant < end)
                assert used <= host.gpus

    def _waits_are_explained(self, decided: Decision) -> None:
        for host in self.hosts:
            free = host.gpus - sum(s.gpus for s in self.sessions.values() if s.host == host.name)
            for claim in self.claims.values():
                reasons = [r for r in decided.reserved.get(claim.id, ()) if r.host == host.name]
                assert bool(reasons) == (claim.gpus <= free and self._suits(claim, host.name))
                assert all(r.claims and set(r.claims) <= set(self.claims) for r in reasons)


AT_ONCE = Policy(drain_after_ms=((8, 0), (4, 0)), firm_after_ms=HOUR, hard_after_ms=4 * HOUR, tries=1)
POLICIES = st.sampled_from([Policy(), AT_ONCE, Policy(slack_share=0, slack_ms=0, tries=1)])


@given(lives(), st.booleans(), POLICIES)
def test_whatever_happens_promises_are_kept_and_gpus_never_shared(events, accept, policy):
    live(House(TWO_HOSTS, policy, accept=accept), events, [""])


@given(lives(), st.booleans(), POLICIES, st.lists(st.sampled_from(["", "A", "B"]), min_size=1, max_size=5))
def test_promises_are_kept_where_claims_ask_for_gpu_models(events, accept, policy, models):
    live(House(TWO_MODELS, policy, accept=accept), events, models)


def live(house: House, events, models: list[str]) -> None:
    """Have the house live through the events; claims ask for the models in turn. In the end nobody waits."""
    for number, (kind, minutes, gpus, length) in enumerate(events):
        house.wait(house.now + minutes * MIN)
        running, waiting = list(house.sessions.values()), list(house.claims)
        if kind == "claim":
            wanted = Waiting(str(number), gpus, house.now, length, accept_bounded=house.accept)
            house.claims[str(number)] = replace(wanted, model=models[number % len(models)])
            house.ask()
        elif kind == "end" and running:
            del house.sessions[running[length % len(running)].id]
            house.ask()
        elif kind == "cancel" and waiting:
            del house.claims[waiting[length % len(waiting)]]
            house.ask()
        elif kind == "top-up" and running:
            old = running[length % len(running)]
            house.sessions[old.id] = Running(old.id, old.host, old.gpus, old.bound + length, old.until)
            house.ask(frozenset({old.id}))
    house.wait(house.now + 1_000 * HOUR)
    assert not house.claims


@pytest.mark.parametrize("tries", [0, 1, 4])
def test_however_little_work_is_allowed_the_decision_is_valid(tries):
    house = House(TWO_HOSTS, Policy(tries=tries), accept=True)
    for number in range(60):
        gpus = (1, 2, 4, 8)[number % 4]
        house.wait(house.now + 5 * MIN)
        house.claims[str(number)] = Waiting(
            str(number), gpus, house.now, (20 + 7 * number) * MIN, accept_bounded=True
        )
        house.ask()
    house.wait(house.now + 1_000 * HOUR)
    assert not house.claims
