from pulumi.automation.events import EngineEvent

from infra.engine_events import Recorder, drift_of, plain_error
from infra.summary import Change, Drift, Summary

URN = "urn:pulumi:local::axonos::axonos:infra:Platform$docker:index/network:Network::verification"


def step(kind, op, type_="docker:index/network:Network", outputs=None, urn=URN):
    new = {"type": type_, "urn": urn, "id": "1", "parent": "", "provider": "", "outputs": outputs or {}}
    metadata = {"op": op, "urn": urn, "type": type_, "provider": "", "new": new}
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, kind: {"metadata": metadata}})


def test_what_changed_is_named_once_and_what_stayed_is_not():
    told = []
    recorder = Recorder(told.append, planned=False)
    for op in ("same", "replace", "create-replacement", "delete-replaced"):
        recorder(step("resourcePreEvent", op))
        recorder(step("resOutputsEvent", op))
    recorder(step("resOutputsEvent", "create", type_="pulumi:pulumi:Stack"))
    recorder(step("resOutputsEvent", "create", type_="pulumi:providers:docker"))
    assert recorder.changed == [Change("verification", "Network", "replace")]
    assert told == ["replacing Network verification"]


def test_a_playbook_run_tells_its_changed_tasks():
    recorder = Recorder(lambda _: None, planned=False)
    run = "pulumi-python:dynamic/axonos:PlaybookRun"
    recorder(step("resOutputsEvent", "update", type_=run, outputs={"changed_tasks": ["Write it"]}))
    assert recorder.changed[0].tasks == ("Write it",)


def test_a_preview_tells_the_plan():
    recorder = Recorder(lambda _: None, planned=True)
    recorder(step("resourcePreEvent", "create"))
    recorder(step("resOutputsEvent", "create"))
    assert [change.op for change in recorder.changed] == ["create"]


def test_an_error_is_its_last_sentence():
    traceback = (
        "Exception calling application: Traceback (most recent call last):\n"
        '  File "x.py", line 1, in y\n    raise Z\n'
        "infra.playbook_run.PlaybookFailed: Start PostgreSQL. Events: /log\n"
    )
    assert plain_error(traceback) == "Start PostgreSQL. Events: /log"
    assert plain_error("<{%reset%}>Docker: no such network<{%reset%}>") == "Docker: no such network"


def test_errors_name_their_resource():
    recorder = Recorder(lambda _: None, planned=False)
    diagnostic = {"severity": "error", "message": "Docker: in use", "urn": URN, "color": "never"}
    recorder(EngineEvent.from_json({"sequence": 1, "timestamp": 1, "diagnosticEvent": diagnostic}))
    assert recorder.errors == ["verification: Docker: in use"]


def test_drift_is_named_from_the_record_and_from_what_vanished():
    def resource(name, **outputs):
        urn = f"urn:pulumi:local::axonos::pulumi-python:dynamic/axonos:PlaybookRun::{name}"
        return {"urn": urn, "type": "pulumi-python:dynamic/axonos:PlaybookRun", "outputs": outputs}

    resources = [
        resource("site", drift=1.0, drift_tasks=["Write it"]),
        resource("mended", drift=0.0, drift_tasks=[]),
    ]
    vanished = [Change("verification", "Network", "delete"), Change("mended", "PlaybookRun", "update")]
    assert drift_of(resources, vanished) == (
        Drift("site", "PlaybookRun", ("Write it",)),
        Drift("verification", "Network", ("gone",)),
    )


def test_a_summary_is_plain_data():
    summary = Summary(
        "up",
        "local",
        {"update": 1},
        (Change("site", "PlaybookRun", "update", ("Write it",)),),
        (Drift("site", "PlaybookRun", ("Write it",)),),
        seconds=1.234,
    )
    assert summary.as_json() == {
        "operation": "up",
        "stack": "local",
        "changes": {"update": 1},
        "changed": [
            {"name": "site", "kind": "PlaybookRun", "op": "update", "tasks": ["Write it"], "what": []}
        ],
        "drift": [{"name": "site", "kind": "PlaybookRun", "what": ["Write it"]}],
        "outputs": {},
        "violations": [],
        "seconds": 1.23,
    }
