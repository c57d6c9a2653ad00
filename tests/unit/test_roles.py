"""Each role's page names every variable it has, and its argument specification says the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from pydantic import ValidationError

from controller.settings_storage import Storage

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
ROLES = sorted(path for path in (PLAYBOOKS / "roles").iterdir() if path.is_dir())
SPECIFIED = [role for role in ROLES if (role / "meta" / "argument_specs.yml").exists()]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def defaults(role: Path) -> set[str]:
    return set(read(role / "defaults" / "main.yml") or {})


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_its_page_is_true(role):
    """Variables that only build others of its defaults are the role's own business."""
    page = (role / "README.md").read_text()
    named = set(re.findall(rf"`({role.name}__\w+)`", "\n".join(re.findall(r"^\|.*", page, re.MULTILINE))))
    text = (role / "defaults" / "main.yml").read_text()
    parts = {name for name in defaults(role) if len(re.findall(rf"\b{name}\b", text)) > 1}
    assert named <= defaults(role) <= named | parts
    assert f"(roles/{role.name}/README.md)" in (PLAYBOOKS / "README.md").read_text()


@pytest.mark.parametrize("role", SPECIFIED, ids=lambda role: role.name)
def test_its_arguments_are_checked_before_anything_is_done(role):
    options = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert set(options) == defaults(role)
    assert all(option["description"] and option["type"] for option in options.values())


def test_the_roles_of_operators_are_specified():
    assert {"edge", "exporters", "backup", "nvidia_driver", "nvidia_container_toolkit", "gpu_check"} <= {
        role.name for role in SPECIFIED
    }


@pytest.mark.parametrize("shared", ["", "files.example.org:/homes"])
def test_the_platforms_file_says_where_homes_lie_only_where_they_are_shared(shared):
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    template = (PLAYBOOKS / "roles" / "controller" / "templates" / "axonos.toml.j2").read_text()
    names = set(re.findall(r"\b((?:instance|controller|inventory)_\w+)", template))
    values = dict.fromkeys(names, "1") | {
        "controller__chain": {},
        "controller__homes_shared": shared,
        "controller__homes_shared_type": "nfs4",
        "controller__homes_shared_options": "noatime,hard",
    }
    written = environment.from_string(template).render(values)
    wanted = {"shared": shared, "shared_type": "nfs4", "shared_options": "noatime,hard"}
    assert tomllib.loads(written.replace("= \n", "= 1\n")).get("storage") == (wanted if shared else None)
    assert written.endswith('"\n')
    assert not written.endswith("\n\n")
    if shared:
        assert Storage(**wanted).variables["axonos_homes_shared"] == shared
        with pytest.raises(ValidationError):
            Storage(shared="files:/my homes")


def names_of_services(where):
    """Every service that tasks or variables below a folder, or in a file, define."""
    texts = [path.read_text() for path in ([where] if where.is_file() else where.rglob("*.yml"))]
    inline = r"^\s*- \{name: ([a-z-]+)(?:, [^}]+)?\}$|^\s*(?:- )?name: ([a-z-]+)$"
    return {found[1] or found[2] for text in texts for found in re.finditer(inline, text, re.MULTILINE)}


def test_what_runs_is_stopped_by_down_and_removed_by_purge():
    started = set().union(*(names_of_services(role / part) for role in ROLES for part in ("tasks", "vars")))
    surroundings = {one["name"] for one in read(PLAYBOOKS / "vars" / "instance.yml")["instance_surroundings"]}
    assert {"edge", "node-exporter", "gpu-exporter", "backup", "scale"} == surroundings <= started
    assert started == names_of_services(PLAYBOOKS / "down.yml") | surroundings
    units = set(re.findall(r"instance_prefix \}\}-([a-z-]+)\.service", (PLAYBOOKS / "purge.yml").read_text()))
    assert units == started - {"docker"} | {"homes"}
