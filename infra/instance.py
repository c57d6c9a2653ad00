"""One installation on a machine: its name, folders, ports. Standard library only: the first stage uses it.

What was chosen at the first `up` is kept in STATE/options.json, so later commands need no options.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from infra.faults import REFUSED, Fault

DEFAULT_NAME = "axonos"
_NAME = re.compile(r"^[a-z][a-z0-9-]{0,19}$")
# These words stand in a mount unit, where some characters mean something else.
_UNMOUNTABLE = re.compile(r"""[\s"'\\%$]|^-""")
# sun_path ends at 107 bytes; the longest socket below the run folder is slots/<14 characters>/rfb.sock.
_LONGEST_RUN_DIR = 107 - len("/slots/s-0123456789ab/rfb.sock")


@dataclass(frozen=True)
class Instance:
    """What the operator may choose; everything else follows from it."""

    name: str
    state: Path
    run: Path
    web_port: int = 8080
    gateway_port: int = 8081
    chain_port: int = 8545
    gpus: int = 8
    homes_gib: int = 10
    # A file system that another machine serves, as `mount` has it; all hosts have their homes there then.
    homes_shared: str = ""
    homes_shared_type: str = "nfs4"
    homes_shared_options: str = ""

    @property
    def venv(self) -> Path:
        return self.state / "venv"

    @property
    def source(self) -> Path:
        return self.state / "src"

    @property
    def config(self) -> Path:
        return self.state / "axonos.toml"

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.web_port}"

    @property
    def ports(self) -> dict[str, int]:
        return {"web": self.web_port, "gateway": self.gateway_port, "chain": self.chain_port}

    @property
    def homes_variables(self) -> dict[str, str]:
        """What playbooks are told of a shared file system for homes; nothing where there is none."""
        names = ("homes_shared", "homes_shared_type", "homes_shared_options")
        return {f"axonos_{name}": getattr(self, name) for name in names} if self.homes_shared else {}

    def save(self) -> None:
        """Keep the choices for the next command."""
        self.state.mkdir(parents=True, exist_ok=True)
        path = self.state / "options.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(self), default=str, indent=1) + "\n")
        path.with_suffix(".new").replace(path)


def resolve(name: str | None = None, state: Path | None = None, **chosen: Any) -> Instance:
    """The instance meant by these options: what is given, else what was chosen before, else the default.

    Args:
        name: the instance's name; its folders follow from it unless `state` or `run` is given.
        state: the state folder. With neither, an installed `axonos` means the instance it belongs to.
        chosen: other fields of `Instance`; None means not given.

    Raises:
        Fault: a name, folder or port that cannot be used.
    """
    folder = DEFAULT_NAME if name in {None, DEFAULT_NAME} else f"{DEFAULT_NAME}-{name}"
    if name is None and state is None:
        state = _own_state()
    state = (state or Path("/var/lib") / folder).absolute()
    known = _saved(state)
    values = known | {key: value for key, value in chosen.items() if value is not None}
    values["name"] = name or known.get("name", DEFAULT_NAME)
    values["state"] = state
    values["run"] = Path(values.get("run") or Path("/run") / folder).absolute()
    return _checked(Instance(**values))


def _own_state() -> Path | None:
    """The state folder that this program is installed in; None in a source tree."""
    folder = Path(sys.prefix).parent
    return folder if (folder / "options.json").is_file() else None


def _saved(state: Path) -> dict[str, Any]:
    try:
        saved = json.loads((state / "options.json").read_text())
    except (OSError, ValueError):
        return {}
    names = {field.name for field in fields(Instance)}
    return {key: value for key, value in saved.items() if key in names}


def _checked(instance: Instance) -> Instance:
    if not _NAME.match(instance.name):
        raise Fault(f"{instance.name!r} is no instance name.", "Use a-z, 0-9 and '-', 20 at most.", REFUSED)
    if len(str(instance.run)) > _LONGEST_RUN_DIR:
        raise Fault(f"The run folder {instance.run} is too long for sockets.", "Choose --run-dir.", REFUSED)
    if any(not 1 <= port <= 65535 for port in instance.ports.values()):
        raise Fault("A port is outside 1 to 65535.", "Choose another port.", REFUSED)
    if len(set(instance.ports.values())) < len(instance.ports):
        raise Fault("Two services have the same port.", "Give each its own port.", REFUSED)
    if not 1 <= instance.gpus <= 64:
        raise Fault("Simulated GPUs are 1 to 64.", "Choose --gpus between them.", REFUSED)
    if any(map(_UNMOUNTABLE.search, instance.homes_variables.values())):
        raise Fault(
            f"{instance.homes_shared!r} is no shared file system, or its type and options are none.",
            "Name it as `mount` has it, such as files.example.org:/homes, without blanks and quotes.",
            REFUSED,
        )
    return instance
