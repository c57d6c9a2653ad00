"""One GPU host: a machine that exists already, brought to its state by playbooks."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.inventory import inventory
from infra.playbook_run import PlaybookRun
from infra.stack_config import Host, Playbook, StackConfig


class GpuHost(pulumi.ComponentResource):
    """A host and the playbook runs that converge it, in the order given."""

    def __init__(
        self,
        name: str,
        *,
        config: StackConfig,
        host: Host,
        address: pulumi.Input[str] | None = None,
        homes_disk: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args: the stack's configuration, the host's part of it, address and disk that are made later."""
        super().__init__("axonos:infra:GpuHost", name, None, opts)
        self._config, self._host = config, host
        self.address = pulumi.Output.from_input(host.address if address is None else address)
        self._disk = pulumi.Output.from_input(
            host.homes_disk and str(host.homes_disk) if homes_disk is None else homes_disk
        )
        self.runs: list[PlaybookRun] = []
        self.register_outputs({"name": host.name})

    def converge_all(self, after: list[pulumi.Resource] | None = None) -> None:
        """Run every playbook of the stack that this host is to have, once `after` exists."""
        for playbook in self._config.playbooks:
            if not (playbook.real_gpus and self._host.simulated):
                self.converge(playbook, after=after)

    def converge(
        self,
        playbook: Playbook,
        *,
        more: pulumi.Input[dict[str, Any]] | None = None,
        after: list[pulumi.Resource] | None = None,
    ) -> PlaybookRun:
        """Run a playbook on this host after the former ones.

        Args:
            playbook: which, with its variables.
            more: variables known only while the stack is brought up.
            after: other resources that have to exist first.
        """
        variables = pulumi.Output.from_input(more or {}).apply(lambda known: {**playbook.variables, **known})
        name = f"{playbook.name}-{self._host.name}"
        run = PlaybookRun(
            name,
            playbook=playbook.path,
            inventory=self._inventory(),
            variables=variables,
            watched=self._config.watched,
            work_dir=self._config.work_dir,
            log_dir=self._config.log_dir,
            timeout_s=self._config.playbook_timeout_s,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*self.runs, *(after or [])]),
        )
        self.runs.append(run)
        return run

    def _inventory(self) -> pulumi.Input[dict[str, Any]]:
        host, known = self._host, self._config.known_hosts
        if host.connection == "local":
            return inventory((host,))
        made = pulumi.Output.all(address=self.address, homes_disk=self._disk)
        return made.apply(
            lambda found: inventory((host.model_copy(update=found),), known, fresh=host.address == "")
        )
