"""Pages and scripts as files: nothing inline, nothing from elsewhere, every name that is used exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "controller" / "web"
NODE = WEB.parents[1] / "infra" / "devchain"
TEMPLATES = sorted((WEB / "templates").iterdir())
SCRIPTS = sorted([*(WEB / "static" / "js").rglob("*.js"), *(WEB / "local").glob("*.js")])
STYLES = sorted((WEB / "static" / "css").glob("*.css"))
# Names of XML namespaces are no addresses; nothing is fetched from them.
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_pages_have_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", text)
    assert len(text.splitlines()) <= 80


@pytest.mark.parametrize("path", [*TEMPLATES, *SCRIPTS, *STYLES], ids=lambda p: p.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    assert not re.search(r"(https?|wss?)://|url\((?!#)|@import", path.read_text().replace(NAMESPACE, ""))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_never_read_markup_from_text(path: Path) -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
    )
    assert len(path.read_text().splitlines()) <= 200


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_imported_modules_and_names_exist(path: Path) -> None:
    for names, source in re.findall(r"import \{([^}]+)\} from \"(\.[^\"]+)\"", path.read_text()):
        module = (path.parent / source).read_text()
        exported = set(re.findall(r"export (?:async )?(?:function|const|class) ([\w$]+)", module))
        exported |= {
            n.strip() for block in re.findall(r"export \{([^}]+)\}", module) for n in block.split(",")
        }
        assert {name.split(" as ")[0].strip() for name in names.split(",")} <= exported


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_files_that_pages_name_are_there(path: Path) -> None:
    for name in re.findall(r"/static/([\w./-]+)\"", path.read_text()):
        assert (WEB / "static" / name).is_file(), name


def test_packages_are_pinned_to_one_version() -> None:
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    locked = json.loads((NODE / "package-lock.json").read_text())["packages"]
    assert set(wanted) == {"@novnc/novnc", "ethers"}
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")


def test_scripts_import_each_other_one_way() -> None:
    imported = {
        path.resolve(): {
            (path.parent / source).resolve()
            for source in re.findall(r"from \"(\.[^\"]+)\"", path.read_text())
        }
        for path in SCRIPTS
    }
    while leaves := {path for path, needs in imported.items() if not needs & imported.keys()}:
        imported = {path: needs for path, needs in imported.items() if path not in leaves}
    assert sorted(path.name for path in imported) == [], (
        "these import each other in a circle, or one that does"
    )
