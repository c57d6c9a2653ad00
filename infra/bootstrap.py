"""`make up` starts here, with the system's python3 and nothing else.

It looks at the machine, copies the project under the state folder, makes the locked Python
environment there and hands over to `axonos`. It is no installer of services: `axonos up` is.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # infra's module names must not hide those of the standard library
if sys.version_info < (3, 11):  # noqa: UP036 -- the reader of this message has an older one
    sys.exit("axonos: Python 3.11 or newer is needed. Use Debian 12 or Ubuntu 24.04.")

from infra.faults import FAILED, INTERRUPTED, UNAVAILABLE, Fault  # noqa: E402
from infra.first.environment import ensure_environment  # noqa: E402
from infra.first.machine import check_disk, check_ports, check_root, check_system  # noqa: E402
from infra.first.source import copy_source  # noqa: E402
from infra.instance import Instance, resolve  # noqa: E402

PORTS = ("web", "gateway", "chain")


def main(argv: list[str]) -> int:
    try:
        if argv[:1] == ["up"]:
            return up(argv[1:])
        return other(argv)
    except Fault as fault:
        if "--json" in argv:
            told = {"code": fault.code, "message": fault.message, "retry": fault.retry}
            sys.stdout.write(json.dumps({"ok": False, "error": told}) + "\n")
        sys.stderr.write(f"axonos: {fault}\n")
        return fault.status
    except KeyboardInterrupt:
        sys.stderr.write("\naxonos: interrupted. Run `make up` again: it continues where it stopped.\n")
        return INTERRUPTED
    except OSError as error:
        full = "the disk is full: " if error.errno == errno.ENOSPC else ""
        sys.stderr.write(
            f"axonos: {full}{error}\n  What to do: mend that, then run it again: it continues.\n"
        )
        return FAILED


def up(argv: list[str]) -> int:
    """Prepare the machine, then become `axonos up`."""
    started = time.time()
    options, rest = _parser().parse_known_args(argv)
    become_root()
    check_root()
    use_shared_python()
    report = _reporter(quiet=options.json)
    report(check_system(force=options.force))
    instance = chosen(options)
    report(check_disk(instance))
    check_ports(instance)
    os.umask(0o022)
    instance.save()
    with alone(instance):
        written = copy_source(ROOT, instance.source)
        report(f"{written} files copied to {instance.source}" if written else "Source unchanged")
        ensure_environment(instance.source, instance.venv, report)
    return hand_over(instance, ["up", "--state", str(instance.state), f"--since={started}", *rest], options)


def other(argv: list[str]) -> int:
    """Every other command belongs to the installed `axonos`."""
    options, rest = _parser().parse_known_args(argv)
    instance = chosen(options)
    if not (instance.venv / "bin" / "axonos").exists():
        if rest[:1] == ["down"]:
            sys.stdout.write(f"Nothing is installed under {instance.state}.\n")
            return 0
        raise Fault(f"Nothing is installed under {instance.state}.", "Run `make up` first.", UNAVAILABLE)
    become_root()
    check_root()
    scope = ["--state", str(instance.state)] if rest[:1] in (["down"], ["doctor"], ["logs"]) else []
    return hand_over(instance, [*rest[:1], *scope, *rest[1:]], options)


def chosen(options: argparse.Namespace) -> Instance:
    ports = {f"{port}_port": getattr(options, f"{port}_port") for port in PORTS}
    return resolve(
        options.instance,
        options.state,
        run=options.run_dir,
        gpus=options.gpus,
        homes_gib=options.homes_gib,
        homes_shared=options.homes_shared,
        homes_shared_type=options.homes_shared_type,
        homes_shared_options=options.homes_shared_options,
        **ports,
    )


def use_shared_python() -> None:
    """Go on with the system's python3 where the present one lies in somebody's home: services must run it."""
    present = Path(sys.executable).resolve()
    if all(path.stat().st_mode & 0o001 for path in (present, *present.parents)):
        return
    system = Path("/usr/bin/python3")
    if not system.exists() or present == system.resolve():
        raise Fault(f"Other users cannot run {present}.", "Install Debian's python3 package.")
    os.execv(system, [str(system), *sys.argv])  # noqa: S606 -- a fixed program


def become_root() -> None:
    """Start over through sudo where there is one; without it `check_root` says what to do."""
    if os.geteuid() != 0 and shutil.which("sudo"):
        os.execvp("sudo", ["sudo", "--", sys.executable, *sys.argv])  # noqa: S606 -- a fixed program


class alone:  # noqa: N801 -- reads as a word in `with alone(instance)`
    """One `up` at a time for an instance; the lock goes with the process."""

    def __init__(self, instance: Instance) -> None:
        self._path = instance.state / "up.lock"

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fault(
                "Another `up` is at work on this instance.", "Wait for its end.", UNAVAILABLE
            ) from None

    def __exit__(self, *_: object) -> None:
        self._file.close()


def hand_over(instance: Instance, argv: list[str], options: argparse.Namespace) -> int:
    """Replace this process by the installed command."""
    argv += ["--json"] if options.json else []
    os.environ["AXONOS_CONFIG"] = str(instance.config)
    sys.stdout.flush()
    program = str(instance.venv / "bin" / "axonos")
    os.execv(program, [program, *argv])  # noqa: S606 -- a fixed program


def _reporter(*, quiet: bool) -> Callable[[str], None]:
    def report(line: str) -> None:
        if not quiet:
            sys.stdout.write(f"  {line}\n")
            sys.stdout.flush()

    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make up", allow_abbrev=False)
    parser.add_argument("--state", type=Path, help="state folder (default /var/lib/axonos)")
    parser.add_argument("--run-dir", type=Path, help="folder of sockets (default /run/axonos)")
    parser.add_argument("--instance", help="a second, separate installation of that name")
    for port in PORTS:
        parser.add_argument(f"--{port}-port", type=int, help=f"TCP port of the {port}")
    parser.add_argument("--gpus", type=int, help="simulated GPUs of this machine (default 8)")
    parser.add_argument("--homes-gib", type=int, help="size of the homes' file (default 10)")
    parser.add_argument(
        "--homes-shared", help="homes on a shared file system, such as files.example.org:/homes"
    )
    parser.add_argument("--homes-shared-type", help="its type (default nfs4)")
    parser.add_argument("--homes-shared-options", help="its mount options")
    parser.add_argument("--force", action="store_true", help="go on where the system is not supported")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end instead of lines")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
