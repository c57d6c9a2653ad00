from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.faults import Fault
from infra.instance import resolve


def test_the_default_instance_has_the_documented_folders_and_ports() -> None:
    found = resolve(state=None)
    assert (found.name, found.state, found.run) == ("axonos", Path("/var/lib/axonos"), Path("/run/axonos"))
    assert found.origin == "http://localhost:8080"
    assert found.config == Path("/var/lib/axonos/axonos.toml")


def test_a_named_instance_has_folders_of_its_own() -> None:
    found = resolve("blue")
    assert (found.state, found.run) == (Path("/var/lib/axonos-blue"), Path("/run/axonos-blue"))


def test_what_was_chosen_before_stands_unless_chosen_anew(tmp_path: Path) -> None:
    resolve("blue", tmp_path, web_port=9000, gpus=4).save()
    assert resolve(None, tmp_path).web_port == 9000
    assert resolve(None, tmp_path).name == "blue"
    again = resolve(None, tmp_path, web_port=9100, gpus=None)
    assert (again.web_port, again.gpus) == (9100, 4)


def test_an_installed_command_means_its_own_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`down --purge` of a second installation must not remove the first."""
    resolve("blue", tmp_path, web_port=9000).save()
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    assert (resolve().name, resolve().state) == ("blue", tmp_path)
    assert resolve("axonos").state == Path("/var/lib/axonos")
    assert resolve(None, tmp_path / "other").name == "axonos"


def test_options_of_another_version_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(json.dumps({"web_port": 9000, "colour": "red"}))
    assert resolve(None, tmp_path).web_port == 9000


@pytest.mark.parametrize(
    "chosen",
    [
        {"name": "Blue"},
        {"name": "x" * 21},
        {"web_port": 0},
        {"web_port": 70_000},
        {"web_port": 9000, "gateway_port": 9000},
        {"gpus": 0},
        {"homes_shared": "files:/my homes"},
        {"homes_shared": "-o remount"},
        {"homes_shared": "files:/homes", "homes_shared_options": 'noatime"'},
        {"run": "/run/" + "long" * 30},
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path, chosen: dict) -> None:
    with pytest.raises(Fault) as refused:
        resolve(chosen.pop("name", None), tmp_path, **chosen)
    assert refused.value.status == 3
    assert "What to do: " in refused.value.message


def test_a_shared_file_system_for_homes_is_named_once_and_given_up_by_an_empty_name(tmp_path: Path) -> None:
    chosen = resolve("blue", tmp_path, homes_shared="files.example.org:/homes")
    chosen.save()
    assert resolve(None, tmp_path).homes_variables == {
        "axonos_homes_shared": "files.example.org:/homes",
        "axonos_homes_shared_type": "nfs4",
        "axonos_homes_shared_options": "",
    }
    assert resolve(None, tmp_path, homes_shared="").homes_variables == {}
