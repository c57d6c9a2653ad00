"""Ansible module: a list of folders, files and secrets in one go, each difference named by its path."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: files
short_description: Folders, files and secrets in one go
description:
  - One task converges a whole list; every entry that differs is named by its path.
  - Secrets are generated once, never shown, never replaced.
author: [AxonOS (@axonos)]
options:
  entries:
    description:
      - C(path) with C(owner), C(group), C(mode), and one of C(directory) (true), C(content) (text),
        C(generate) (C(token), C(hex32), C(ed25519) with C(public)), C(absent) (true).
      - C(validate) is a program with C(%s) for the new file; C(initial) writes only if there is none;
        C(only_with) removes only a file that holds this text; C(secret) (true) keeps content out of diffs.
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
- name: Have a folder with a secret
  axonos.platform.files:
    entries:
      - {path: /var/lib/axonos/secrets, directory: true, mode: "0711"}
      - {path: /var/lib/axonos/secrets/web_key, generate: token, owner: axonos, mode: "0400"}
"""
RETURN = r"""
results: {description: Each path that differed., type: list, returned: always}
"""


ARGUMENTS = {"entries": {"type": "list", "elements": "dict", "required": True}}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    for entry in params["entries"]:
        try:
            _settle(entry, found, check)
        except (CommandFailed, OSError, KeyError) as error:
            raise CommandFailed(f"{entry['path']}: {error}") from error
    return found.result()


def _settle(entry: dict[str, Any], found: Differences, check: bool) -> None:
    path = Path(entry["path"])
    known = len(found.results)
    if entry.get("absent"):
        _remove(path, entry.get("only_with"), found, check)
        return
    if entry.get("directory"):
        if not path.is_dir() or path.is_symlink():
            found.note(str(path), "missing")
            if not check:
                path.mkdir(parents=True)
    elif "generate" in entry:
        _generate(path, entry, found, check)
    elif not (entry.get("initial") and path.exists()):
        _write(path, entry, found, check)
    # What was just made gets its attributes without being named again.
    named = found if len(found.results) == known else Differences()
    _attributes(path, entry, named, check)
    if entry.get("public"):
        public = {**entry, "mode": entry.get("public_mode", "0644")}
        _attributes(Path(entry["public"]), public, named, check)


def _write(path: Path, entry: dict[str, Any], found: Differences, check: bool) -> None:
    content = entry["content"]
    if not isinstance(content, str):
        raise CommandFailed("content must be text")
    before = path.read_text() if path.is_file() and not path.is_symlink() else None
    if before == content:
        return
    texts = () if entry.get("secret") else (before, content)
    found.note(str(path), "missing" if before is None else "content differs", *texts)
    if check:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as fresh:
        fresh.write(content)
    try:
        if entry.get("validate"):
            run([word.replace("%s", fresh.name) for word in entry["validate"].split()])
        Path(fresh.name).chmod(int(str(entry.get("mode", "0644")), 8))
        Path(fresh.name).replace(path)
    finally:
        Path(fresh.name).unlink(missing_ok=True)


def _generate(path: Path, entry: dict[str, Any], found: Differences, check: bool) -> None:
    kind = entry["generate"]
    public = Path(entry["public"]) if entry.get("public") else None
    if path.exists() and path.stat().st_size and (public is None or public.exists()):
        return
    found.note(str(path), "secret missing")
    if check:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        secret = path.read_text()
    elif kind == "ed25519":
        secret = run(["openssl", "genpkey", "-algorithm", "ed25519"])
    else:
        secret = ("0x" + secrets.token_hex(32) if kind == "hex32" else secrets.token_urlsafe(48)) + "\n"
    _put_private(path, secret)
    if public is not None:
        public.write_text(run(["openssl", "pkey", "-pubout"], text=secret))


def _put_private(path: Path, secret: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret)
    fresh.replace(path)


def _attributes(path: Path, entry: dict[str, Any], found: Differences, check: bool) -> None:
    if not path.exists():
        return
    status = path.stat()
    mode = int(str(entry.get("mode", "0755" if entry.get("directory") else "0644")), 8)
    if stat.S_IMODE(status.st_mode) != mode:
        found.note(str(path), f"mode {stat.S_IMODE(status.st_mode):04o}, not {mode:04o}")
        if not check:
            path.chmod(mode)
    owner = entry.get("owner", "root")
    user, group = pwd.getpwnam(owner).pw_uid, grp.getgrnam(entry.get("group", owner)).gr_gid
    if (status.st_uid, status.st_gid) != (user, group):
        found.note(str(path), f"owner {status.st_uid}:{status.st_gid}, not {user}:{group}")
        if not check:
            os.chown(path, user, group)
            path.chmod(mode)  # chown clears set-id bits


def _remove(path: Path, only_with: str | None, found: Differences, check: bool) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if only_with and only_with not in path.read_text():
        return
    found.note(str(path), "removed")
    if check:
        return
    if path.is_dir() and not path.is_symlink():
        mounts = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        if any(mount.is_relative_to(path.resolve()) for mount in mounts):
            raise CommandFailed("something is still mounted there")
        shutil.rmtree(path)
    else:
        path.unlink()


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
