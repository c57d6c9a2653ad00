"""The stages of `axonos up`, and which needs which."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Event

from infra import engine, scale_service
from infra.built_image import BuiltImage, built_image
from infra.devchain.node import NodeFailed, install
from infra.errors import ImageRefused, Interrupted
from infra.faults import UNAVAILABLE, Fault
from infra.instance import Instance
from infra.inventory import inventory
from infra.playbook_process import Request, execute
from infra.pulumi_cli import ensure_cli
from infra.reporting import Report
from infra.stack_config import StackConfig
from infra.summary import Summary
from infra.up.child import run_child
from infra.up.stages import Results, Stage

NPM_ATTEMPTS = 3
IMAGE_LIMIT_S = 1800
SELFCHECK_LIMIT_S = 240


class Work:
    """What each stage does for one instance. The image's future lets the stack begin before it is built."""

    def __init__(self, instance: Instance, config: StackConfig, stop: Event) -> None:
        self.instance, self.config, self.stop = instance, config, stop
        self._image: Future[BuiltImage] = Future()

    def stages(self, *, selfcheck: bool) -> Sequence[Stage]:
        """All of them; the slow ones need nothing from each other."""
        found = [
            Stage("cli", "Pulumi CLI", self.cli),
            Stage("node", "Node packages", self.node),
            Stage("image", "Desktop image", self.image),
            Stage("stack", "Platform", self.stack, needs=("cli", "node")),
        ]
        if selfcheck:
            found.append(Stage("selfcheck", "Self-check", self.selfcheck, needs=("stack", "image")))
        return found

    def cli(self, report: Report, _: Results) -> Path:
        return ensure_cli(self.instance.state / "tools", report, self.stop)

    def node(self, report: Report, _: Results) -> bool:
        """The stream client, the local chain and its wallet library, from their lock file."""
        for attempt in range(1, NPM_ATTEMPTS + 1):
            try:
                return install(self.instance.state / "node", stop=self.stop)
            except NodeFailed as error:
                if attempt == NPM_ATTEMPTS or self.stop.wait(3 * attempt):
                    to_do = "Check the network and the npm registry, then run it again: it continues."
                    raise Fault(str(error), to_do, UNAVAILABLE) from error
                report(f"npm failed, trying again ({attempt + 1} of {NPM_ATTEMPTS})")
        raise AssertionError("the loop returns or raises")

    def image(self, report: Report, _: Results) -> str:
        """Have the image that the recipe in the source describes, through playbooks/image.yml."""
        try:
            built = self._built(report)
        except BaseException as error:
            self._image.set_exception(error)
            raise
        self._image.set_result(built)
        return built.image_id

    def _built(self, report: Report) -> BuiltImage:
        outcome = execute(self._image_request(), self.stop.is_set)
        if self.stop.is_set():
            raise Interrupted
        if outcome.status != "successful":
            told = "; ".join(outcome.failed) or outcome.status
            raise ImageRefused(f"The desktop image was not built: {told}. See {self._image_request().log}")
        report("built" if outcome.changed else "as its recipe says")
        found = built_image(self.instance.state / "images")
        if found is None:
            raise ImageRefused("playbooks/image.yml left no images/desktop.json.")
        return found

    def _image_request(self) -> Request:
        return Request(
            name="image",
            playbook=str(self.instance.source / "playbooks" / "image.yml"),
            inventory=inventory(self.config.hosts),
            variables={
                "axonos_state_dir": str(self.instance.state),
                "axonos_source_dir": str(self.instance.source),
            },
            work_dir=str(self.config.work_dir),
            log_dir=str(self.config.log_dir),
            timeout_s=IMAGE_LIMIT_S,
        )

    def stack(self, report: Report, results: Results) -> Summary:
        cli, image = results["cli"], self._image
        found = engine.up(self.config, cli=cli, report=report, image=image, stop=self.stop)
        scale_service.keep(self.instance, report)  # `down` has stopped it
        return found

    def selfcheck(self, report: Report, _: Results) -> dict[str, object]:
        """Use the platform once, as a visitor would."""
        lines = run_child(
            [str(Path(sys.executable).with_name("axonos")), "selfcheck", "--json"],
            report=lambda line: None if line.startswith("{") else report(line.strip()),
            stop=self.stop,
            what="The platform runs, but its self-check failed:",
            to_do="Look at `axonos doctor` and `axonos logs`, then run it again.",
            timeout_s=SELFCHECK_LIMIT_S,
            env={"AXONOS_CONFIG": str(self.instance.config)},
        )
        found: dict[str, object] = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
        return found
