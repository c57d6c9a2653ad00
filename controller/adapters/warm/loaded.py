"""What the warm server loads before the first run, and whether that still is what a cold run would load."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CHANGED = "playbooks or programs changed since they were loaded"
# Read while Ansible is imported: a run that wants other values cannot be served by this process.
FIXED = ("ANSIBLE_", "PYTHON", "LC_", "LANG", "HOME", "TMPDIR", "TZ")
OWN = frozenset({"ANSIBLE_CACHE_PLUGIN_CONNECTION"})  # each run has its own, and gets it
_PLUGINS = {
    "action": ("axonos.platform.session",),
    "cache": ("ansible.builtin.jsonfile", "ansible.builtin.memory"),
    "callback": ("awx_display",),
    "connection": ("ansible.builtin.local", "ansible.builtin.ssh"),
    "inventory": ("auto", "host_list", "ini", "yaml"),
    "strategy": ("ansible.builtin.linear",),
}
_MODULES = (
    "ansible.cli.playbook",
    "ansible.executor.module_common",
    "ansible.executor.playbook_executor",
    "ansible.executor.process.worker",
    "ansible.executor.task_executor",
    "ansible.executor.task_queue_manager",
    "ansible.inventory.manager",
    "ansible.playbook.handler_task_include",
    "ansible.vars.hostvars",
    "ansible_collections.ansible.builtin",
    "ansible_collections.axonos.platform",
    "ansible_collections.axonos.platform.plugins.modules",
)
_Mark = tuple[int, int, int] | None


@dataclass(frozen=True)
class Loaded:
    """Files and environment as they were when everything was loaded."""

    playbooks: Path
    environment: Mapping[str, str]
    marks: Mapping[str, _Mark]

    def objection(self, environment: Mapping[str, str]) -> str:
        """Why a run with this environment would differ from a cold one now; empty if it would not."""
        wanted, loaded = _fixed(environment), _fixed(self.environment)
        if wanted != loaded:
            names = sorted(k for k in wanted.keys() | loaded.keys() if wanted.get(k) != loaded.get(k))
            return "environment differs: " + ", ".join(names)
        now = {name: _mark(name) for name in {*self.marks, *_tree(self.playbooks)}}
        return "" if now == self.marks else CHANGED


def load(playbooks: Path) -> Loaded:
    """Import Ansible and what a session run uses of it, and read what it would read each time.

    Args:
        playbooks: their folder; its ansible.cfg and collections are in use.
    """
    environment = dict(os.environ)
    before = {name: _mark(name) for name in _tree(playbooks)}
    import ansible.cli.playbook  # noqa: F401, PLC0415 - reads the environment as it is imported
    from ansible.plugins import loader  # noqa: PLC0415

    loader.init_plugin_loader()
    # Each run initialises it again, which is of no consequence.
    warnings.filterwarnings("ignore", message="AnsibleCollectionFinder has already been configured")
    for name in _MODULES:
        importlib.import_module(name)
    for kind, names in _PLUGINS.items():
        plugins = getattr(loader, f"{kind}_loader")
        for name in names:
            if plugins.get(name, class_only=True) is None:
                raise RuntimeError(f"Ansible has no {kind} plugin {name}")
    for kind in ("become", "callback", "connection", "shell"):  # each run looks through all of them
        list(getattr(loader, f"{kind}_loader").all(class_only=True))
    loader.vars_loader.get("ansible.builtin.host_group_vars")  # runs use the loader's instance of it
    loader.module_loader.find_plugin("axonos.platform.session")
    gc.collect()
    gc.freeze()  # pages of what stays are not written to by the forks' collections
    return Loaded(playbooks, environment, before | {name: _mark(name) for name in _sources()})


def _fixed(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(FIXED) and k not in OWN}


def _sources() -> Iterator[str]:
    """Files of all imported modules, and the folders packages are installed into."""
    for module in list(sys.modules.values()):
        if name := getattr(module, "__file__", None):
            yield str(name)
    yield from (folder for folder in sys.path if folder)


def _tree(folder: Path) -> Iterator[str]:
    """Every file and folder below; Python's own caches do not count."""
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (f"{top}/{name}" for name in names)


def _mark(name: str) -> _Mark:
    try:
        found = os.stat(name)  # noqa: PTH116 - a thousand of them before each run
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
