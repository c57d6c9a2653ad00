"""What the shape of the project promises: arrows of import, sizes of modules, honest locks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    p
    for top in ("controller", "infra", "images")
    for p in (ROOT / top).rglob("*.py")
    if "node_modules" not in p.parts
)

# Who may import whom inside `controller`. `app`, `worker` and `cli` construct adapters; nobody else does.
CORE = {"errors", "settings", "settings_money", "settings_storage", "models"}
ALLOWED = {
    "domain": {"domain"},
    "models": {"models"},
    "settings": {"errors", "settings_money", "settings_storage"},
    "settings_money": set(),
    "settings_storage": {"settings_money"},
    "errors": {"errors"},
    "rfb": {"rfb", "errors"},
    "services": CORE | {"domain", "services"},
    "adapters": CORE | {"domain", "services", "adapters"},
    "web": CORE | {"domain", "services", "web"},
    "app": CORE | {"domain", "services", "web", "adapters"},
    "worker": CORE | {"domain", "services", "adapters", "worker"},
    # The auditor shares nothing with what it audits.
    "auditor": {"auditor", "settings"},
    "migrations": {"models", "settings", "migrations", "errors"},
    "gateway": {"gateway", "host", "domain", "adapters", "settings", "errors"},
    "files": {"files", "host", "domain", "adapters", "settings", "errors"},
    "guard": {"guard", "host", "settings", "errors"},
    "host": {"host", "settings", "errors"},
    "backup": {"backup", "settings", "errors"},
    # The client is for other machines: it shares nothing with the server.
    "client": {"client"},
    "selfcheck": {"selfcheck", "rfb", "settings", "errors"},
    "bench": {"bench", "domain", "host", "rfb", "selfcheck", "settings", "errors"},
    "cli": CORE
    | {
        "domain",
        "services",
        "adapters",
        "cli",
        "selfcheck",
        "bench",
        "migrations",
        "rfb",
        "auditor",
        "backup",
    },
}


# What is signed, and how that is checked, is one rule for builder and hosts.
OF_IMAGES = "images.desktop.signature."


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, relative imports resolved."""
    found: set[str] = set()
    name = module_name(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def wrong_arrows(path: Path) -> list[str]:
    name = module_name(path).split(".")
    wrong = []
    for imported in sorted(imports_of(path)):
        target = imported.split(".")
        if target[0] not in {"controller", "infra", "images"} or len(target) < 2:
            continue
        if name[0] == "controller" and len(name) > 1:
            if name[1] == "host" and imported.startswith(OF_IMAGES):
                continue
            if target[0] != "controller" or target[1] not in ALLOWED.get(name[1], set()):
                wrong.append(imported)
        elif (name[0] == "infra" and target[0] == "controller") or (
            name[0] == "images" and target[0] != "images" and imported.split(".")[:2] != ["controller", "rfb"]
        ):
            wrong.append(imported)
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    assert wrong_arrows(path) == []


def test_a_wrong_arrow_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "controller" / "domain" / "sneaky.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("from controller.services import alerts\nimport infra.engine\n")
    monkeypatch.setattr("test_structure.ROOT", tmp_path)
    assert wrong_arrows(bad) == ["controller.services.alerts", "infra.engine"]


def test_the_domain_imports_the_standard_library_only() -> None:
    import sys

    for path in (ROOT / "controller" / "domain").rglob("*.py"):
        foreign = {
            i.split(".")[0]
            for i in imports_of(path)
            if i.split(".")[0] not in {*sys.stdlib_module_names, "controller"}
        }
        assert not foreign, f"{path.name} imports {foreign}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_no_module_grows_near_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 360


def test_no_two_test_modules_share_a_name() -> None:
    """Tests are no packages: pytest imports them by name alone, and refuses the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


LOCKS = sorted(
    p
    for p in [*ROOT.glob("*.lock"), *ROOT.glob("*/**/package-lock.json"), *ROOT.glob("*/**/*.lock")]
    if not {"node_modules", ".venv", ".build"} & set(p.relative_to(ROOT).parts)
)


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_locks_carry_versions_and_hashes_only(path: Path) -> None:
    text = path.read_text()
    told_by_npm = r'"url": "[^"]*"'  # where to thank a package's authors, not where it comes from
    assert not re.search(
        r'[a-z]+://|--(extra-)?index-url|--find-links|"resolved"', re.sub(told_by_npm, "", text)
    )
    assert "sha" in text


def test_every_pinned_requirement_has_a_hash() -> None:
    for name in ("requirements.lock", "requirements-test.lock"):
        entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
        pins = [e for e in entries if not e.startswith("#")]
        assert len(pins) > 20
        assert [e.splitlines()[0] for e in pins if "==" not in e or "--hash=sha256:" not in e] == []
