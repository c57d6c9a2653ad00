"""Ansible module: kernel settings, as they are now and as they will be after a boot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed, Differences
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: kernel_settings
short_description: Kernel settings, now and after a boot
description:
  - Compares each setting with the running kernel, and the file read at boot; each difference is named.
author: [AxonOS (@axonos)]
options:
  settings: {description: Values by name., type: dict, required: true}
  file: {description: The file below C(/etc/sysctl.d)., type: path, required: true}
"""
EXAMPLES = r"""
- name: Pass packets on
  axonos.platform.kernel_settings:
    file: /etc/sysctl.d/60-axonos.conf
    settings: {net.ipv4.ip_forward: 1}
"""
RETURN = r"""
results: {description: Each setting that differed., type: list, returned: always}
"""
ARGUMENTS = {
    "settings": {"type": "dict", "required": True},
    "file": {"type": "path", "required": True},
}
PROC = Path("/proc/sys")


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    _at_boot(Path(params["file"]), params["settings"], found, check)
    for name, value in sorted(params["settings"].items()):
        _now(name, str(value), found, check)
    return found.result()


def _at_boot(file: Path, settings: dict[str, Any], found: Differences, check: bool) -> None:
    lines = [f"{name} = {value}" for name, value in sorted(settings.items())]
    text = "\n".join(["# Written by AxonOS; changes are undone.", *lines, ""])
    before = file.read_text() if file.is_file() else None
    if before == text:
        return
    found.note(str(file), "missing" if before is None else "content differs", before, text)
    if not check:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _now(name: str, value: str, found: Differences, check: bool) -> None:
    path = PROC / name.replace(".", "/")
    if not path.exists():
        raise CommandFailed(f"this kernel has no setting {name}")
    before = " ".join(path.read_text().split())
    if before == value:
        return
    found.note(name, f"{before}, not {value}")
    if not check:
        path.write_text(value)


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
