"""What a guard accepts from its controller: slots, leases and sentences, nothing else."""

import httpx
import pytest

from controller.guard.observe import Sight
from controller.guard.report import Controller, NoAnswer, parse
from controller.host.config import HostConfig
from controller.host.leases import Lease

SLOT = "s-0123456789ab"
GOOD = {
    "leases": [{"slot": SLOT, "until_ms": 5, "fencing_token": 2}],
    "stop": [SLOT],
    "warnings": [{"id": 7, "slot": SLOT, "text": "10 minutes left", "urgency": "critical"}],
    "next_ms": 2000,
}


def test_orders_are_read():
    orders = parse(GOOD)
    assert (orders.leases[0].until_ms, orders.stop, orders.next_ms) == (5, (SLOT,), 2000)
    assert (orders.warnings[0].id, orders.warnings[0].urgency) == (7, "critical")


@pytest.mark.parametrize(
    "change",
    [
        {"stop": ["../etc"]},
        {"stop": [SLOT + "\n"]},
        {"leases": [{"slot": SLOT}]},
        {"warnings": [GOOD["warnings"][0] | {"urgency": "low; reboot"}]},
        {"next_ms": "soon"},
        {"leases": None},
    ],
)
def test_malformed_orders_are_no_orders(change):
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse(GOOD | change)


def test_a_warning_is_one_printable_sentence_and_no_option():
    text = parse(GOOD | {"warnings": [GOOD["warnings"][0] | {"text": "--help\x1b[2J\n" + "x" * 999}]})
    shown = text.warnings[0].text
    assert shown.isprintable()
    assert shown.startswith("help")
    assert len(shown) <= 300


@pytest.mark.parametrize(("asked", "waits"), [(0, 200), (2000, 2000), (10**9, 60_000)])
def test_the_next_report_is_neither_frantic_nor_never(asked, waits):
    assert parse(GOOD | {"next_ms": asked}).next_ms == waits


def config(folder):
    token = folder / "token"
    token.write_text("sesame\n")
    fields = dict.fromkeys(HostConfig.__dataclass_fields__)
    return HostConfig(
        **fields | {"controller_url": "http://controller", "guard_token": token, "name": "host-1"}
    )


def test_a_report_carries_the_token_in_a_header_only(tmp_path):
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json=GOOD)

    controller = Controller(config(tmp_path), httpx.MockTransport(answer))
    assert controller.report([], [7], 123).stop == (SLOT,)
    assert seen[0].headers["authorization"] == "Bearer sesame"
    assert b"sesame" not in seen[0].content
    assert "sesame" not in str(seen[0].url)
    assert b'"delivered":[7]' in seen[0].content


@pytest.mark.parametrize("status", [401, 500, 302])
def test_any_other_answer_is_no_answer(tmp_path, status):
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=GOOD))
    with pytest.raises(NoAnswer):
        Controller(config(tmp_path), transport).report([], [], 1)


def lease(slot, until_ms):
    return Lease(slot, "session", 1, 1, until_ms, "digest", 1, "0x", ())


def test_a_sight_tells_lost_expired_and_unleased_slots_apart():
    running = {
        "slot": "a",
        "state": "running",
        "container_id": "c",
        "started_at_ms": 1,
        "finished_at_ms": None,
    }
    slots = {"a": running | {"config_digest": "d"}, "orphan": running | {"slot": "orphan"}}
    held = {"a": lease("a", 100), "lost": lease("lost", 200), "starting": lease("starting", 300)}
    sight = Sight(slots, held, frozenset({"starting"}))
    assert [(one["slot"], one["state"]) for one in sight.report()] == [
        ("a", "running"),
        ("orphan", "running"),
        ("lost", "missing"),
    ]
    assert sight.expired(200) == ["a", "lost"]
    assert sight.unleased() == {"orphan"}


def test_clocks_of_shells_are_read_and_an_older_controller_sends_none():
    said = [{"slot": SLOT, "state": "grace", "empty_in_ms": 0, "ends_in_ms": 7}]
    (clock,) = parse(GOOD | {"clocks": said}).clocks
    assert (clock.slot, clock.state, clock.ends_in_ms) == (SLOT, "grace", 7)
    assert parse(GOOD).clocks == ()
    for wrong in ({"slot": "../etc"}, {"state": "root 1 1\n"}, {"ends_in_ms": "soon"}):
        with pytest.raises((ValueError, TypeError)):
            parse(GOOD | {"clocks": [said[0] | wrong]})


def test_quotas_are_whole_numbers_of_wallets():
    wallet = "0x" + "ab" * 20
    asked = {"leases": [], "stop": [], "warnings": [], "next_ms": 2_000}
    assert parse(asked).quotas is None
    said = parse(asked | {"quotas": {"default": 5, "others": {wallet: 0}}}).quotas
    assert (said.default, said.others) == (5, {wallet: 0})
    for wrong in (
        {"default": "5", "others": {}},
        {"default": -1, "others": {}},
        {"default": 1, "others": {"../x": 1}},
    ):
        with pytest.raises(ValueError, match="not a"):
            parse(asked | {"quotas": wrong})
