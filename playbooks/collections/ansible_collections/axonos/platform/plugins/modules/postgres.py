"""Ansible module: a private PostgreSQL cluster, made once, by the newest server installed."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: postgres
short_description: A private PostgreSQL cluster
description:
  - Makes the cluster in a folder beside and moves it into place, so an interruption leaves no half of one.
  - An existing cluster keeps the server version that made it.
author: [AxonOS (@axonos)]
options:
  data_dir: {description: The cluster's folder., type: path, required: true}
  user: {description: System user that owns it; also the superuser's name., type: str, required: true}
"""
EXAMPLES = r"""
- name: Have a cluster
  axonos.platform.postgres:
    data_dir: /var/lib/axonos/postgres
    user: axonos
"""
RETURN = r"""
bin_dir: {description: Folder of the server's programs., type: str, returned: always}
"""
SERVERS = Path("/usr/lib/postgresql")
ARGUMENTS = {
    "data_dir": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    data_dir = Path(params["data_dir"])
    found = Differences()
    try:
        version = _version(data_dir)
        if not (data_dir / "PG_VERSION").exists():
            found.note(str(data_dir), "missing")
            if not check:
                _make(data_dir, params["user"], version)
    except (CommandFailed, OSError) as error:
        raise CommandFailed(f"The cluster {data_dir}: {error}") from error
    return found.result(bin_dir=str(SERVERS / version / "bin"))


def _version(data_dir: Path) -> str:
    made = data_dir / "PG_VERSION"
    installed = sorted(
        (folder.name for folder in SERVERS.glob("*") if (folder / "bin" / "postgres").exists()), key=float
    )
    if made.exists():
        version = made.read_text().strip()
        if version not in installed:
            raise CommandFailed(f"it was made by PostgreSQL {version}, which is not installed")
        return version
    if not installed:
        raise CommandFailed("no PostgreSQL server is installed")
    return installed[-1]


def _make(data_dir: Path, user: str, version: str) -> None:
    if data_dir.exists() and any(data_dir.iterdir()):
        raise CommandFailed("the folder holds something that is no cluster; move it away")
    account = pwd.getpwnam(user)
    fresh = data_dir.with_name(data_dir.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    os.chown(fresh, account.pw_uid, account.pw_gid)
    run(
        [
            *("runuser", "-u", user, "--", str(SERVERS / version / "bin" / "initdb"), "--pgdata", str(fresh)),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums", "--auth", "peer"),
        ]
    )
    if data_dir.exists():
        data_dir.rmdir()
    fresh.replace(data_dir)


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
