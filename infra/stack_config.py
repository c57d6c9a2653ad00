"""What one Pulumi stack is made of: instance, folders, ports, hosts and the playbooks that converge them.

Checked as a whole: `StackConfigInvalid` lists every problem at once. Holds no secret, so it is saved beside
the stack's state and `axonos infra` or plain `pulumi` find it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from infra.errors import StackConfigInvalid
from infra.policy import Policy
from infra.stack_aws import Aws
from infra.stack_parts import Budget, Gpu, Host, Part, Playbook, Ports

NAME = r"^[a-z][a-z0-9-]{0,30}$"
# A unix socket path ends at 107 bytes; this is the longest one under the run folder.
RUN_DIR_MAX_BYTES = 107 - len("/slots/s-0123456789ab/rfb.sock")


class StackConfig(Part):
    """Everything the Pulumi program of one stack is told."""

    instance: str = Field(default="axonos", pattern=r"^[a-z][a-z0-9-]{0,19}$")
    stack: str = Field(default="local", pattern=NAME)
    kind: Literal["local", "metal", "aws"] = "local"
    state_dir: Path
    run_dir: Path
    ports: Ports = Ports()
    hosts: tuple[Host, ...] = ()
    # A shared file system for all homes of the installation; no host brings a disk for them then.
    homes_shared: str = ""
    aws: Aws | None = None
    playbooks: tuple[Playbook, ...] = ()
    # Folders besides the playbooks' own whose content counts, such as the project's code.
    watched: tuple[Path, ...] = ()
    policy: Budget = Budget()
    # A file with a `postgres://` URL: Pulumi's state lies there instead of in files.
    state_url_file: Path | None = None
    playbook_timeout_s: int = Field(default=1800, ge=1)
    lock_timeout_s: int = Field(default=600, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> StackConfig:
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def backend_dir(self) -> Path:
        """Pulumi's project, and its state where that is kept in files."""
        return self.state_dir / "pulumi"

    @property
    def homes_dir(self) -> Path:
        """Where every wallet's home lies on this host."""
        return self.state_dir / "homes"

    @property
    def work_dir(self) -> Path:
        """Where playbook runs keep their files while they run."""
        return self.state_dir / "runs" / "infra"

    @property
    def log_dir(self) -> Path:
        """Where the events of playbook runs are kept."""
        return self.state_dir / "logs"

    @property
    def known_hosts(self) -> Path:
        """The SSH keys that hosts are recognised by."""
        return self.state_dir / "secrets" / "known_hosts"

    @property
    def saved_at(self) -> Path:
        """Where this configuration is kept for later commands."""
        return self.backend_dir / f"{self.stack}.json"

    def rules(self, released: frozenset[str] = frozenset()) -> Policy:
        """What the policy allows this stack.

        Args:
            released: hosts that may end or be replaced.
        """
        return Policy(
            monthly_cap_usd=self.policy.monthly_cap_usd,
            prices_micro_usd=self.policy.prices_micro_usd(),
            released=released,
        )

    def save(self) -> None:
        """Keep this configuration beside the stack's state, replacing the former one atomically."""
        self.backend_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.saved_at.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=2) + "\n")
        new.replace(self.saved_at)


def _of_kind(config: StackConfig) -> Iterator[str]:
    """What the kind of stack asks for and does not allow."""
    if config.kind == "aws":
        if config.aws is None:
            yield "a stack of kind aws needs a section [aws]"
        if config.hosts:
            yield "a stack of kind aws has [[aws.pools]], not [[hosts]]"
        return
    if config.aws is not None:
        yield f"[aws] does not belong in a stack of kind {config.kind}"
    if not config.hosts:
        yield "a stack has at least one host"
    wanted = "local" if config.kind == "local" else "ssh"
    for host in config.hosts:
        if host.connection != wanted:
            yield f"host {host.name}: a stack of kind {config.kind} reaches its hosts by {wanted}"
        if host.key_file is not None and not host.key_file.is_file():
            yield f"host {host.name}: there is no key file {host.key_file}"


def _of_homes(config: StackConfig) -> Iterator[str]:
    """Homes lie on each host's own disk or file, or all on the shared file system."""
    pools = config.aws.pools if config.aws is not None else ()
    if config.homes_shared:
        where = f"homes lie on {config.homes_shared}"
        yield from (f"host {h.name}: {where}, so it has no homes_disk" for h in config.hosts if h.homes_disk)
        yield from (f"pool {p.name}: {where}, so homes_gib is 0" for p in pools if p.homes_gib)
    else:
        lacking = "homes_gib is 0, and there is no shared file system (`axonos up --homes-shared`)"
        yield from (f"pool {p.name}: {lacking}" for p in pools if not p.homes_gib)


def _problems(config: StackConfig) -> list[str]:
    found = [
        f"{name} must be an absolute path"
        for name, path in (("state_dir", config.state_dir), ("run_dir", config.run_dir))
        if not path.is_absolute()
    ]
    if len(os.fsencode(config.run_dir)) > RUN_DIR_MAX_BYTES:
        found.append(f"run_dir is too long for unix sockets (at most {RUN_DIR_MAX_BYTES} bytes)")
    found += [*_of_kind(config), *_of_homes(config)]
    names = [host.name for host in config.hosts]
    found += [f"host {name} is listed twice" for name in sorted({n for n in names if names.count(n) > 1})]
    uuids = [gpu.uuid for host in config.hosts for gpu in host.gpus]
    found += [f"GPU {uuid} is listed twice" for uuid in sorted({u for u in uuids if uuids.count(u) > 1})]
    runs = [playbook.name for playbook in config.playbooks]
    found += [f"playbook {name} is listed twice" for name in sorted({r for r in runs if runs.count(r) > 1})]
    missing = [playbook for playbook in config.playbooks if not playbook.path.is_file()]
    found += [f"playbook {playbook.name}: {playbook.path} does not exist" for playbook in missing]
    found += [f"watched folder {path} does not exist" for path in config.watched if not path.exists()]
    return found


def stack_config(**values: Any) -> StackConfig:
    """A checked configuration.

    Args:
        values: the fields of `StackConfig`.

    Raises:
        StackConfigInvalid: the message lists every problem.
    """
    try:
        return StackConfig.model_validate(values)
    except ValidationError as error:
        raise StackConfigInvalid(listed("the stack's configuration", error)) from error


def saved_config(state_dir: Path, stack: str = "local") -> StackConfig:
    """The configuration kept by the last `axonos up` of this state folder.

    Raises:
        StackConfigInvalid: there is none, or it has problems.
    """
    path = state_dir / "pulumi" / f"{stack}.json"
    try:
        return StackConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StackConfigInvalid(f"{path}: {error.strerror}. Run `axonos up` first.") from error
    except ValidationError as error:
        raise StackConfigInvalid(listed(str(path), error)) from error


def listed(source: str, error: ValidationError) -> str:
    """Every problem of a configuration, a line each."""
    lines = [f"  {'.'.join(map(str, e['loc'])) or '(whole)'}: {e['msg']}" for e in error.errors()]
    return "\n".join([f"{source} has {len(lines)} problem(s):", *lines])


__all__ = ["Gpu", "Host", "Playbook", "Ports", "StackConfig", "listed", "saved_config", "stack_config"]
