"""The simulated queue: its schedules can be checked by anyone, and its figures are those of the schedule."""

from __future__ import annotations

import itertools
import json

import pytest
from click.testing import CliRunner

from controller.bench.queue import compare, curve, scale, trace
from controller.bench.queue.policies import FirstFit, Promise, Prototype, StrictFifo
from controller.bench.queue.schedule import Schedule
from controller.bench.queue.workload import CELLS, MINUTE_MS, Cell, Request, requests
from controller.bench.queue.world import World
from controller.cli.bench import bench
from controller.domain.planner import Policy
from controller.errors import BadInput


def claim(name: str, at: float, gpus: int, use: float, balance: float, **more) -> dict:
    return {"id": name, "at": at, "gpus": gpus, "use": use, "balance": balance * gpus, **more}


DEFAULT = Policy()
A_MAX_HAS_AN_HOUR = Policy(slack_ms=60 * 60_000 // 8)


def replayed(claims: list[dict], hosts=(8,), policy=DEFAULT) -> dict:
    return trace.replay(json.dumps({"name": "t", "hosts": list(hosts), "claims": claims}), policy)


def sessions(schedule: dict) -> dict[str, tuple[float, float]]:
    return {s["claim"]: (s["start"], s["end"]) for s in schedule["sessions"]}


def test_a_trace_becomes_a_schedule_with_its_promises_and_reasons():
    people = [claim("a", 0, 4, 50, 100), claim("max", 1, 8, 10, 60), claim("b", 2, 4, 200, 400)]
    schedule = replayed(people, policy=A_MAX_HAS_AN_HOUR)
    # b could take the four free GPUs only until minute 100: less than half of what it paid for.
    assert sessions(schedule) == {"a": (0, 50), "max": (50, 60), "b": (60, 260)}
    assert schedule["promises"][0] == {"claim": "max", "given": 1, "latest": 100 + 99 / 2 + 60}
    assert [s["gpus"] for s in schedule["sessions"]] == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3]]
    assert {"claim": "b", "host": 0, "from": 2, "to": 50, "kind": "promised", "for": ["max"]} in schedule[
        "reasons"
    ]


def test_the_more_gpus_a_claim_needs_at_once_the_wider_its_promise():
    people = [claim("a", 0, 8, 50, 100), *(claim(str(gpus), 1, gpus, 10, 60) for gpus in (1, 2, 4))]
    latest = {p["claim"]: p["latest"] for p in replayed(people)["promises"]}
    assert latest == {str(gpus): 100 + 99 / 2 + 60 * gpus for gpus in (1, 2, 4)}


def test_events_of_one_instant_all_happen_before_anybody_decides():
    # At minute 10 somebody comes before a's balance ends, in the order told; a's GPUs are free all the same.
    assert sessions(replayed([claim("a", 0, 8, 60, 10), claim("b", 10, 8, 5, 5)]))["b"] == (10, 15)


def test_a_guarantee_is_written_down_and_prolonged_until_the_promise_needs_the_gpus():
    long = claim("b", 2, 4, 560, 560)
    people = [claim("a", 0, 4, 500, 300), claim("max", 1, 8, 10, 60), long]
    schedule = replayed(people, policy=A_MAX_HAS_AN_HOUR)
    assert schedule["promises"] == [{"claim": "max", "given": 1, "latest": 300 + 299 / 2 + 60}]
    b = next(s for s in schedule["sessions"] if s["claim"] == "b")
    assert (b["start"], b["guaranteed_until"], b["end"], b["cut_for"]) == (2, 300, 500, "max")
    assert sessions(schedule)["max"] == (500, 510)


def test_top_ups_before_the_start_add_after_the_end_are_void_and_cancels_leave_the_queue():
    early = claim("early", 1, 8, 100, 10, topups=[{"at": 5, "gpu_minutes": 80}])
    late = claim("late", 0, 8, 10, 60, topups=[{"after_start": 20, "gpu_minutes": 8000}])
    gone = claim("gone", 2, 8, 10, 60, cancel_at=8)
    assert sessions(replayed([late, early, gone])) == {"late": (0, 10), "early": (10, 30)}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Invalid JSON"),
        ('{"name": "t", "hosts": [], "claims": []}', "hosts"),
        (json.dumps({"name": "t", "hosts": [8], "claims": [claim("a", 0, 1, 1, 1)] * 2}), "one id"),
        (json.dumps({"name": "t", "hosts": [8], "claims": [claim("a", -1, 0, 1, 1)]}), "claims.0.gpus"),
        (
            json.dumps(
                {"name": "t", "hosts": [8], "claims": [claim("a", 0, 1, 1, 1, topups=[{"gpu_minutes": 1}])]}
            ),
            "after_start or at",
        ),
    ],
)
def test_what_is_no_trace_is_refused_with_all_reasons(content, why):
    with pytest.raises(BadInput, match=why):
        trace.replay(content, Policy())


@pytest.mark.parametrize("cell", ["main", "grace", "many-max", "no-top-ups"])
def test_every_promise_of_a_simulation_is_kept_and_no_gpu_is_held_twice(cell):
    measured = compare.simulate(CELLS[cell], 600, 3, Promise(Policy(turnaround_ms=CELLS[cell].turnaround_ms)))
    schedule = measured.schedule
    assert schedule.promises
    assert schedule.promises_moved == 0
    for name, promise in schedule.promises.items():
        if name in schedule.stays:
            assert schedule.stays[name].start_ms <= promise.latest_ms
    held = sorted((gpu, s.start_ms, s.end_ms or 0) for s in schedule.stays.values() for gpu in s.gpus)
    for (gpu, _, end), (other, start, _) in itertools.pairwise(held):
        assert gpu != other or end + CELLS[cell].turnaround_ms <= start


@pytest.mark.parametrize("policy", [Promise(Policy()), FirstFit(), Prototype(0), StrictFifo()])
def test_everybody_who_does_not_cancel_gets_a_session(policy):
    people = requests(CELLS["main"], 400, 5)
    stays = compare.simulate(CELLS["main"], 400, 5, policy).schedule.stays
    assert {one.id for one in people if one.cancel_at_ms is None} <= set(stays)


def test_the_figures_name_a_broken_promise_and_a_moved_one():
    measured = compare.simulate(CELLS["main"], 600, 3, Promise(Policy()))
    name = next(c for c in measured.schedule.promises if c in measured.schedule.stays)
    measured.schedule.promises[name].latest_ms = measured.schedule.stays[name].start_ms - 1
    measured.schedule.promised(name, 0, 10**15)
    other = next(c for c in measured.schedule.promises if c in measured.schedule.stays and c != name)
    measured.schedule.promises[other].latest_ms = measured.schedule.stays[other].start_ms - 1
    strict = compare.simulate(CELLS["main"], 600, 3, StrictFifo())
    figures = compare.figures([measured], [compare.simulate(CELLS["main"], 600, 3, FirstFit())], strict)
    assert figures["promises_moved"] == 1
    assert figures["promises_kept_ratio"] < 1


def test_the_command_replays_a_trace_and_measures_a_cell(tmp_path):
    source, out = tmp_path / "trace.json", tmp_path / "schedule.json"
    source.write_text(json.dumps({"name": "t", "hosts": [8], "claims": [claim("a", 0, 8, 5, 10)]}))
    done = CliRunner().invoke(bench, ["queue", "--trace", str(source), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert sessions(json.loads(out.read_text())) == {"a": (0, 5)}
    done = CliRunner().invoke(
        bench, ["queue", "--requests", "400", "--seeds", "1", "--cell", "grace", "--json"]
    )
    answer = json.loads(done.stdout)
    assert answer["ok"] is (done.exit_code == 0) is True
    assert answer["figures"]["promises_kept_ratio"] == 1


def test_the_fleet_is_timed_only_while_the_queue_is_long(monkeypatch):
    monkeypatch.setattr(scale, "FLEET", Cell("fleet", load=1.0, hosts=(8,) * 4))
    monkeypatch.setattr(scale, "CROWD", 60)
    monkeypatch.setattr(scale, "LEAST_WAITING", 20)
    figures = scale.run(10).figures
    assert 0 < figures["calls"] < 200
    assert figures["plan_p99_ms"] > 0


def test_other_cells_are_held_against_a_prototype_on_the_same_people():
    told = []
    outcome = compare.run(CELLS["rich"], 300, 1, told.append)
    assert outcome.goals.keys() == {"promises_kept_ratio", "promises_moved"}
    assert [line.split()[2] for line in told] == ["Promise", "FirstFit", "Prototype", "StrictFifo"]
    found = {"gpu8_p99_ratio_interval": 0.1, "gpu1_mean_extra_min_interval": 2.0}
    for name in compare.REACHED:
        goals = compare.goals(CELLS[name], compare.REACHED_AT, found)
        ratio, extra, cut = compare.REACHED[name]
        assert goals["gpu8_p99_ratio"] == ("<=", pytest.approx(ratio + 0.1))
        assert goals["gpu1_mean_extra_min"] == ("<=", extra + 2)
        assert goals["cut_ratio"] == ("<=", cut)
        assert goals["gain_min"] == (">=", 0)
    assert "gain_min" not in compare.goals(CELLS["main"], compare.REACHED_AT, found)


def measured(small_min: float, max_min: float) -> compare.Measured:
    return compare.Measured(Schedule(), 0.9, {1: [small_min], 8: [max_min]})


@pytest.fixture
def no_cuts(monkeypatch):
    monkeypatch.setattr(compare, "cut_ratio", lambda _: 0.0)


@pytest.mark.usefixtures("no_cuts")
@pytest.mark.parametrize(
    ("ours", "gain"), [((30, 1500), 0), ((40, 1500), -5), ((30, 1400), 51), ((132, 1400), 0)]
)
def test_a_small_may_wait_longer_than_under_the_prototype_for_what_a_max_gains(ours, gain):
    found = compare.beside([measured(30, 1500)], [measured(*ours)], [measured(20, 3000)])
    assert found["gain_min"] == gain
    assert found["prototype_gpu8_p99_ratio"] == 0.5
    assert found["prototype_gpu1_mean_extra_min"] == 10


def lived_through(policy, people: list[tuple[str, int, int, int]]) -> Schedule:
    """One host of eight GPUs; people are id, minute, GPUs and how many minutes they pay for and stay."""
    minutes = [
        Request(name, at * MINUTE_MS, gpus, stay * MINUTE_MS, stay * MINUTE_MS)
        for name, at, gpus, stay in people
    ]
    return World({"0": 8}, policy, Schedule()).run(minutes)


def test_the_prototype_promises_every_size_the_same_slack():
    promises = lived_through(Prototype(0), [("a", 0, 8, 100), ("b", 1, 1, 60), ("c", 1, 8, 10)]).promises
    assert promises["b"].latest_ms == (100 + 99 / 2 + 60) * MINUTE_MS
    assert promises["c"].latest_ms == (160 + 159 / 2 + 60) * MINUTE_MS


@pytest.mark.parametrize(
    ("policy", "starts"), [(Prototype(0), [1100, 2010]), (Promise(Policy()), [1100, 1300])]
)
def test_the_prototype_shuts_a_drained_host_after_twenty_hours_and_not_before(policy, starts):
    people = [("a", 0, 4, 2000), ("max", 1, 8, 10), ("b", 1100, 1, 60), ("c", 1300, 1, 60)]
    stays = lived_through(policy, people).stays
    assert [stays[name].start_ms for name in "bc"] == [minute * MINUTE_MS for minute in starts]
    assert stays["max"].start_ms == 2000 * MINUTE_MS


def test_the_curve_names_the_slack_from_which_on_a_wider_one_spares_few(monkeypatch):
    cuts = iter([0.05, 0.009, 0.0015, 0.0007, 0.0001])
    monkeypatch.setattr(curve, "_at", lambda *_: {"promises_kept_ratio": 1.0, "cut_ratio": next(cuts)})
    outcome = curve.of_slack(CELLS["main"], 200, 1, lambda _: None)
    assert outcome.figures["knee_slack_min"] == 60
    assert outcome.figures["slack_30_cut_ratio"] == 0.009
    assert outcome.ok


def test_no_slack_is_a_knee_while_too_many_are_cut_or_the_next_one_spares_many():
    assert curve.knee({0: 0.0051, 30: 0.005}) == -1
    assert curve.knee({0: 0.005, 30: 0.003}) == -1
    assert curve.knee({0: 0.005, 30: 0.0041}) == 0


def test_only_the_main_cells_knee_has_to_be_the_default(monkeypatch):
    monkeypatch.setattr(curve, "_at", lambda *_: {"promises_kept_ratio": 1.0, "cut_ratio": 0.0})
    assert not curve.of_slack(CELLS["main"], 200, 1, lambda _: None).ok
    assert curve.of_slack(CELLS["load-0.98"], 200, 1, lambda _: None).ok


def test_a_wider_promise_is_further_away():
    figures = curve.of_slack(CELLS["main"], 400, 1, lambda _: None).figures
    waits = [figures[f"slack_{minutes}_promised_wait_p50_min"] for _, minutes in curve.SLACKS]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]


@pytest.mark.parametrize(
    ("others", "best"),
    [
        ([], (0, 10_000)),
        ([(41, 2000)], (0, 10_000)),
        ([(50, 1000)], (50, 10_000)),
        ([(38, 1700)], (0, 100)),
        ([(50, 1000), (45, 1400), (38, 1700), (39, 1510)], (50, 10)),
        ([(40, 1500)], (0, 10_000)),
        ([(40, 1400)], (10_000, 10_000)),
        ([(39, 1400)], (10_000, 0)),
        ([(39, 1500)], (0, 0)),
    ],
)
def test_a_point_is_the_knee_between_the_rates_at_which_its_neighbours_are_as_good(others, best):
    assert curve.best_between((40, 1500), others) == best


def test_in_the_main_cell_the_default_has_to_be_the_knee_of_the_drains(monkeypatch):
    told = []

    def waiting(*waits: tuple[float, float]):
        each = iter(waits)

        def at(*_) -> dict[str, float]:
            mean, slowest = next(each)
            return {"promises_kept_ratio": 1.0, "mean_min": mean, "gpu8_p99_min": slowest}

        monkeypatch.setattr(curve, "_at", at)
        return lambda cell: curve.of_drain(CELLS[cell], 200, 1, told.append)

    soft, hard, theirs = (38.0, 1700.0), (50.0, 1000.0), (1.0, 1.0)
    best = waiting(soft, soft, (40, 1490), hard, hard, theirs)("main")
    assert (best.figures["default_best_from"], best.figures["default_best_to"]) == (49, 105)
    assert best.ok
    assert not waiting(soft, soft, (40, 1510), hard, hard, theirs)("main").ok
    assert waiting(soft, soft, (40, 1510), hard, hard, theirs)("rich").ok
    assert [line.split(":")[0] for line in told[:6]] == [*curve.drains(CELLS["main"]), "prototype"]


@pytest.mark.parametrize(
    ("drain", "starts"),
    [
        ("soft", [520, 1100, 1700]),
        ("firm", [520, 1100, 2010]),
        ("default", [520, 1100, 2010]),
        ("hard_after_20_h", [520, 1100, 2010]),
        ("hard_after_8_h", [2010, 2010, 2010]),
    ],
)
def test_the_drains_of_the_curve_close_ever_harder(drain, starts):
    people = [
        ("a", 0, 4, 2000),
        ("max", 1, 8, 10),
        ("b", 520, 1, 60),
        ("c", 1100, 1, 60),
        ("d", 1700, 1, 250),
    ]
    stays = lived_through(Promise(curve.drains(CELLS["main"])[drain]), people).stays
    assert [stays[name].start_ms for name in "bcd"] == [minute * MINUTE_MS for minute in starts]
