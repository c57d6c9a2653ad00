"""Ansible module: programs that have to run, by systemd where it runs, by supervisord where it does not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed, Differences
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module
from ansible_collections.axonos.platform.plugins.module_utils.service import (
    Service,
    answers,
    last_words,
    running_digest,
    wait_until_ready,
)
from ansible_collections.axonos.platform.plugins.module_utils.supervisor import Supervisor
from ansible_collections.axonos.platform.plugins.module_utils.systemd import Systemd

DOCUMENTATION = r"""
module: services
short_description: Programs that have to run
description:
  - Writes a systemd unit where systemd runs, else a program of a supervisord that belongs to the instance.
  - Starts what does not run or does not answer; restarts what runs with another definition or other inputs.
  - Waits until each answers before it goes on to the next.
author: [AxonOS (@axonos)]
options:
  instance: {description: Name of the instance; part of the units' names., type: str, required: true}
  state_dir: {description: Folder for supervisord's files and logs., type: path, required: true}
  run_dir: {description: Folder for supervisord's socket., type: path, required: true}
  services:
    description:
      - C(name), C(command), C(user), C(directory), C(environment), C(inputs), C(restart), C(stop_signal),
        C(stop_s), C(ready) (C(tcp:PORT), C(unix:PATH), C(http:PORT/PATH)), C(ready_s).
      - With C(system_unit) the distribution's own unit is used where systemd runs, and a program that answers
        already is left alone.
    type: list
    elements: dict
    required: true
  state:
    description:
      - Whether they shall run. C(resumed) starts those again that were stopped with C(remember), as they are
        defined, and leaves all others alone.
    type: str
    choices: [started, stopped, resumed]
    default: started
  remember: {description: "With C(stopped), have C(resumed) start them again.", type: bool, default: false}
  supervisord: {description: The program., type: path, default: supervisord}
  finish: {description: With C(stopped), end supervisord as well., type: bool, default: false}
"""
EXAMPLES = r"""
- name: Run the site
  axonos.platform.services:
    instance: axonos
    state_dir: /var/lib/axonos
    run_dir: /run/axonos
    services:
      - name: web
        command: [/var/lib/axonos/venv/bin/gunicorn, "controller.app:wsgi()"]
        user: axonos
        ready: http:8080/healthz
"""
RETURN = r"""
results: {description: Each service that was not as it should be, and how., type: list, returned: always}
"""
CHECK_PATIENCE_S = 3
JUST_STARTED_S = 2.5
REMEMBERED = "services-stopped"
ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "state_dir": {"type": "path", "required": True},
    "run_dir": {"type": "path", "required": True},
    "services": {"type": "list", "elements": "dict", "required": True},
    "state": {"choices": ["started", "stopped", "resumed"], "default": "started"},
    "remember": {"type": "bool", "default": False},
    "supervisord": {"type": "path", "default": "supervisord"},
    "finish": {"type": "bool", "default": False},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    backend = _backend(params)
    services = [Service.parse(data, params["instance"]) for data in params["services"]]
    found = Differences()
    if params["state"] == "started":
        for service in services:
            _start(backend, service, found, check)
        return found.result()
    remembered = Path(params["state_dir"]) / REMEMBERED
    if params["state"] == "resumed":
        _resume_all(backend, services, remembered, found, check)
        return found.result()
    stopped = _stop_all(backend, services, found, check)
    if params["remember"] and stopped and not check:
        _write(remembered, "".join(f"{name}\n" for name in sorted({*stopped, *_names(remembered)})))
    if params["finish"] and not check and backend.shut_down():
        found.note("supervisord", "stopped")
    return found.result()


def _backend(params: dict[str, str]) -> Systemd | Supervisor:
    prefix = "axonos" if params["instance"] == "axonos" else f"axonos-{params['instance']}"
    if Path("/run/systemd/system").is_dir():
        return Systemd(prefix, Path(params["run_dir"]))
    state = Path(params["state_dir"])
    return Supervisor(
        params["instance"],
        state / "supervisor",
        Path(params["run_dir"]),
        state / "logs",
        params["supervisord"],
    )


def _start(backend: Systemd | Supervisor, service: Service, found: Differences, check: bool) -> None:
    if _is_somebody_elses(backend, service):
        return
    text = backend.text(service)
    written = _uses_own_definition(backend, service)
    problem = _problem(backend, service, text if written else None)
    if problem is None and service.restart:
        problem = "its configuration was mended"
    if problem is None:
        return
    found.note(service.name, problem)
    if check:
        return
    backend.prepare()
    if written:
        _write(backend.definition(service), text)
    _apply(backend, service)


def _apply(backend: Systemd | Supervisor, service: Service) -> None:
    backend.apply(service)
    if not wait_until_ready(service, lambda: backend.pid(service)):
        raise CommandFailed(
            f"{service.name} did not start within {service.ready_s} s. "
            f"It said: {last_words(backend.last_lines(service.name))}"
        )


def _is_somebody_elses(backend: Systemd | Supervisor, service: Service) -> bool:
    """A program like Docker that answers already and was not started by us stays as it is."""
    return bool(service.system_unit) and not backend.pid(service) and answers(service.ready)


def _uses_own_definition(backend: Systemd | Supervisor, service: Service) -> bool:
    return not (isinstance(backend, Systemd) and service.system_unit)


def _problem(backend: Systemd | Supervisor, service: Service, text: str | None) -> str | None:
    """What is wrong with the service; None if it runs as wanted and answers."""
    path = backend.definition(service)
    if text is not None and (not path.exists() or path.read_text() != text):
        return "definition differs" if path.exists() else "not set up"
    pid = backend.pid(service)
    if not pid:
        return "stopped"
    if text is not None and not _runs(backend, service):
        return "runs an older definition"
    patient = Service(service.name, service.command, ready=service.ready, ready_s=CHECK_PATIENCE_S)
    silent = service.ready and not wait_until_ready(patient, lambda: True)
    return "does not answer" if silent else None


def _runs(backend: Systemd | Supervisor, service: Service) -> bool:
    """Whether the wanted definition runs; one that is just being started again is given the time for it."""
    until = time.monotonic() + JUST_STARTED_S
    while running_digest(backend.pid(service)) != service.digest:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o644)
    fresh.replace(path)


def _resume_all(
    backend: Systemd | Supervisor, services: list[Service], remembered: Path, found: Differences, check: bool
) -> None:
    """Each is forgotten once it runs. What was not stopped here was stopped by somebody, and stays so."""
    names = _names(remembered)
    for service in services:
        if service.name not in names:
            continue
        if backend.definition(service).exists() and not backend.pid(service):
            found.note(service.name, "stopped")
            if not check:
                backend.prepare()
                _apply(backend, service)
        if not check:
            names.remove(service.name)
            _write(remembered, "".join(f"{name}\n" for name in names))


def _names(remembered: Path) -> list[str]:
    return remembered.read_text().split() if remembered.exists() else []


def _stop_all(
    backend: Systemd | Supervisor, services: list[Service], found: Differences, check: bool
) -> list[str]:
    """Stop in the reverse order. Definitions stay: a stopped service is named as such by the next check.

    Returns:
        the names of those that ran.
    """
    stopped = []
    for service in reversed(services):
        if not _uses_own_definition(backend, service) or not backend.definition(service).exists():
            continue
        if check:
            if backend.pid(service):
                found.note(service.name, "stopped")
        elif backend.stop(service.name):
            found.note(service.name, "stopped")
            stopped.append(service.name)
    return stopped


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
