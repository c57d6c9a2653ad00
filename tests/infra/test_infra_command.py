import json

import pytest
from click.testing import CliRunner

from infra import host_register, scale_service
from infra.cli import infra as command
from infra.errors import Interrupted, PolicyRefused, StackBusy
from infra.faults import Fault
from infra.instance import Instance
from infra.policy import Violation
from infra.stack_config import stack_config
from infra.summary import Change, Drift, Summary

DONE = Summary(
    "up",
    "local",
    {"update": 1},
    (Change("site", "PlaybookRun", "update"),),
    (Drift("site", "PlaybookRun", ("x",)),),
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    stack_config(instance="trial", state_dir=tmp_path, run_dir="/run/trial", hosts=[{"name": "local"}]).save()
    monkeypatch.setattr(command, "ensure_cli", lambda *_: tmp_path / "pulumi")
    return lambda *words: CliRunner().invoke(command.infra, ["--state", str(tmp_path), *words])


def raising(error):
    def operation(*_args, **_options):
        raise error

    return operation


def test_the_summary_is_told_to_people_and_to_programs(run, monkeypatch):
    monkeypatch.setattr(command.engine, "up", lambda *_, **__: DONE)
    told = run("up")
    assert told.output.splitlines() == [
        "drift    PlaybookRun site: x",
        "update   PlaybookRun site",
        "up: 1 update, 0.0 s",
    ]
    assert json.loads(run("up", "--json").output)["drift"][0]["what"] == ["x"]


@pytest.mark.parametrize(("error", "status"), [(StackBusy(), 4), (Interrupted(), 130)])
def test_an_error_is_its_message_and_its_exit_status(run, monkeypatch, error, status):
    monkeypatch.setattr(command.engine, "refresh", raising(error))
    told = run("refresh", "--json")
    assert told.exit_code == status
    assert json.loads(told.stdout)["error"]["code"] == error.code


def test_a_plan_against_the_rules_is_shown_and_refused(run, monkeypatch):
    why = Violation("encrypted", "homes", "the volume is not encrypted")
    refused = Summary("preview", "gpu", {"create": 1}, violations=(why,))
    monkeypatch.setattr(command.engine, "preview", lambda *_, released, **__: released and refused)
    told = run("preview", "--released", "gpu-0")
    assert told.exit_code == 3
    assert told.output.splitlines()[0] == "refused  homes: the volume is not encrypted [encrypted]"
    monkeypatch.setattr(command.engine, "up", raising(PolicyRefused()))
    assert run("up").exit_code == 3


def test_before_the_first_up_it_says_what_to_do(tmp_path):
    told = CliRunner().invoke(command.infra, ["--state", str(tmp_path), "preview"])
    assert told.exit_code == 3
    assert "axonos up" in told.output


def test_destroy_asks_first(run, monkeypatch):
    monkeypatch.setattr(command.engine, "destroy", raising(AssertionError("not asked")))
    assert run("destroy").exit_code == 1


@pytest.mark.parametrize("taken", [True, False])
def test_cancel_says_whether_there_was_a_lock(run, monkeypatch, taken):
    monkeypatch.setattr(command.engine, "cancel", lambda *_, **__: taken)
    assert json.loads(run("cancel", "--json").output)["unlocked"] is taken


def test_a_stack_is_named_before_or_behind_the_command(run, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(command.engine, "cancel", lambda config, **_: seen.append(config.stack))
    gpu = stack_config(
        stack="gpu",
        kind="metal",
        state_dir=tmp_path,
        run_dir="/run/trial",
        hosts=[{"name": "far", "connection": "ssh", "address": "203.0.113.7", "gateway_url": "wss://far"}],
    )
    gpu.save()
    assert run("cancel", "--stack", "gpu").exit_code == 0
    assert run("--stack", "gpu", "cancel").exit_code == 0
    assert seen == ["gpu", "gpu"]


def test_after_up_the_inventory_and_the_list_of_hosts_lie_there(run, monkeypatch, tmp_path):
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "gpu.toml").write_text(
        'kind = "metal"\ncontroller_url = "https://x"\nconverge = false\n[[hosts]]\nname = "far"\n'
        'address = "203.0.113.7"\nport = 2222\ngateway_url = "wss://far"\nsimulated_gpus = 1\n'
    )
    told = {"name": "far", "address": "203.0.113.7:2222", "gpus": [{"uuid": "SIM-far-0", "model": "x"}]}
    monkeypatch.setattr(
        command.engine, "up", lambda *_, **__: Summary("up", "gpu", outputs={"hosts": [told]})
    )
    assert run("inventory", "--stack", "gpu").exit_code == 3
    assert run("up", "--stack", "gpu").exit_code == 0
    hosts = json.loads(run("inventory", "--stack", "gpu").output)["all"]["children"]["gpu_hosts"]["hosts"]
    assert (hosts["far"]["ansible_host"], hosts["far"]["ansible_port"]) == ("203.0.113.7", 2222)
    listed = json.loads((tmp_path / "stacks" / "gpu.hosts.json").read_text())
    assert listed == {"stack": "gpu", "hosts": [told]}


def test_a_host_is_released_only_once_the_platform_has_let_it_go(tmp_path, monkeypatch):
    instance = Instance("trial", tmp_path, tmp_path / "run")
    states = {"gpu-0": "removed", "gpu-1": "draining"}
    monkeypatch.setattr(host_register, "ask", lambda _instance, _show, name: {"state": states[name]})
    host_register.check_released(instance, ["gpu-1"])  # no controller on this machine knows better
    instance.config.touch()
    host_register.check_released(instance, ["gpu-0"])
    with pytest.raises(Fault, match="axonos hosts drain gpu-1"):
        host_register.check_released(instance, ["gpu-0", "gpu-1"])


def test_scale_prints_the_step(run, monkeypatch):
    record = {"action": "grow", "why": "one waits"}
    monkeypatch.setattr(command.Scaler, "step", lambda _self: record)
    assert run("scale").output == "local: grow, one waits\n"
    assert json.loads(run("scale", "--json").output) == record


ELASTIC = '[aws]\n[[aws.pools]]\nname = "gpu"\nelastic = {cap = 2}\n'


def test_all_elastic_stacks_take_their_steps_round_after_round(run, tmp_path, monkeypatch):
    (tmp_path / "stacks").mkdir()
    for name, text in {"a": ELASTIC, "b": "kind = ", "c": ELASTIC, "d": 'kind = "metal"\n'}.items():
        (tmp_path / "stacks" / f"{name}.toml").write_text(text)
    taken, waited = [], []

    def step(scaler):
        taken.append(scaler.stack)
        if scaler.stack == "a":
            raise Fault("the controller does not answer", "start it")
        return {"action": "stay", "why": "nobody waits"}

    class Pause:
        def wait(self, seconds):
            waited.append(seconds)
            return len(waited) == 2

    monkeypatch.setattr(command.Scaler, "step", step)
    monkeypatch.setattr(command, "Event", Pause)
    monkeypatch.setattr(command, "configured", lambda *_: None)
    told = run("scale", "--all", "--every", "60")
    assert told.exit_code == 0
    assert (taken, waited) == (["a", "c", "a", "c"], [60, 60])
    assert {"a: the controller does not answer", "c: stay, nobody waits"} <= set(told.output.splitlines())


def test_its_service_runs_while_a_stack_is_elastic_and_on_the_controllers_machine_only(tmp_path, monkeypatch):
    played = []
    monkeypatch.setattr(
        scale_service, "play", lambda *_, **more: played.append(more["scaler__running"]) or []
    )
    monkeypatch.setattr(scale_service, "source_digest", lambda _source: "d")
    monkeypatch.setattr(scale_service, "UNITS", tmp_path / "units")
    instance = Instance("trial", tmp_path, tmp_path / "run")
    file, program = tmp_path / "stacks" / "gpu.toml", tmp_path / "supervisor" / "programs" / "scale.conf"
    for path in (file, program):
        path.parent.mkdir(parents=True)
    file.write_text(ELASTIC)
    scale_service.keep(instance, print)
    assert played == [], "no controller here"
    instance.config.touch()
    scale_service.keep(instance, print)
    program.touch()
    file.write_text("")
    scale_service.keep(instance, print)
    program.unlink()
    scale_service.keep(instance, print)
    assert played == [True, False]


def test_a_stack_without_an_elastic_pool_says_so(run):
    told = run("scale")
    assert told.exit_code == 3
    assert "no pool with `elastic`" in told.output
