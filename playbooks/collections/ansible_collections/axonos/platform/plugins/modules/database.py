"""Ansible module: the platform's database, its schema and this host's row in it.

Runs under the platform's own interpreter and works with its code: the schema has one source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed, Differences
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: database
short_description: The platform's database, schema and host
description:
  - Creates the database, migrates it to the newest schema and registers a host with its GPUs.
author: [AxonOS (@axonos)]
options:
  config: {description: The platform's TOML file., type: path, required: true}
  host:
    description: Its C(name), C(connection), C(address), C(gateway_url), C(simulated) and C(gpus).
    type: dict
    required: true
"""
EXAMPLES = r"""
- name: Have the database
  axonos.platform.database:
    config: /var/lib/axonos/axonos.toml
    host:
      name: local
      connection: local
      address: 127.0.0.1
      gateway_url: ws://localhost:8081
      simulated: true
      gpus: [{uuid: SIM-0, simulated: true}]
"""
RETURN = r"""
results: {description: What differed., type: list, returned: always}
"""

MODELS = {True: "simulated", False: "unknown"}
ARGUMENTS = {
    "config": {"type": "path", "required": True},
    "host": {"type": "dict", "required": True},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    try:
        _settle(Path(params["config"]), params["host"], found, check)
    except Exception as error:  # whatever it is, the reader gets its words
        raise CommandFailed(f"The database: {type(error).__name__}: {error}") from error
    return found.result()


def _settle(config: Path, host: dict[str, Any], found: Differences, check: bool) -> None:
    from controller.migrations import migrate, pending  # noqa: PLC0415 -- only in the platform's interpreter
    from controller.settings import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    if check and not _answers(settings.database.url):
        return  # a stopped server is named by the task that runs it; its database is as it was
    if not _exists(settings.database.url):
        found.note("database", "missing")
        if check:
            return
        _create(settings.database.url)
    if pending(settings.database.url):
        found.note("schema", "not the newest")
        if check:
            return
        migrate(settings.database.url)
    _register(settings, host, found, check)


def _admin(url: str) -> Any:
    from sqlalchemy import create_engine, make_url  # noqa: PLC0415

    return create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")


def _answers(url: str) -> bool:
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415

    try:
        _admin(url).connect().close()
    except OperationalError:
        return False
    return True


def _exists(url: str) -> bool:
    from sqlalchemy import make_url, text  # noqa: PLC0415

    with _admin(url).connect() as connection:
        query = text("SELECT 1 FROM pg_database WHERE datname = :name")
        return connection.execute(query, {"name": make_url(url).database}).first() is not None


def _create(url: str) -> None:
    from sqlalchemy import make_url, text  # noqa: PLC0415

    with _admin(url).connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{make_url(url).database}"'))


def _register(settings: Any, host: dict[str, Any], found: Differences, check: bool) -> None:
    from controller.adapters.clock import SystemClock  # noqa: PLC0415
    from controller.adapters.database import PostgresDatabase  # noqa: PLC0415
    from controller.services.deps import Deps  # noqa: PLC0415
    from controller.services.hosts import registry as hosts  # noqa: PLC0415

    # Hosts need the database alone; the other ports would cost seconds of imports.
    others: dict[str, Any] = dict.fromkeys(("chains", "tickets", "sign_in", "new_id"))
    database = PostgresDatabase(settings.database.url)
    deps = Deps(settings=settings, clock=SystemClock(), database=database, **others)
    wanted = [
        hosts.GpuSpec(gpu["uuid"], gpu.get("model") or MODELS[bool(gpu["simulated"])], gpu.get("island"))
        for gpu in host["gpus"]
    ]
    known = {row.name: row for row in hosts.list_hosts(deps)}.get(host["name"])
    facts = {key: host[key] for key in ("connection", "address", "gateway_url", "simulated")}
    same = known is not None and all(getattr(known, key) == value for key, value in facts.items())
    if (
        known is None
        or not same
        or [(gpu.uuid, gpu.model, gpu.island) for gpu in known.gpus]
        != [(g.uuid, g.model, g.island) for g in wanted]
    ):
        found.note(f"host {host['name']}", "not registered" if known is None else "registered otherwise")
        if not check:
            hosts.register(deps, host["name"], gpus=wanted, **facts)


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
