"""A provisioner whose sessions start at once, for tests of what stands above it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controller.adapters.clock import SystemClock
from controller.services.ports import RunOutcome

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0RDBFI1nhR6bMWCTp9Hh0AEYyjI3n3OKaKRXmCsuXo"


@dataclass
class InstantSessions:
    """Implements `ports.Provisioner`: a container is a line in memory."""

    running: dict[str, int] = field(default_factory=dict)

    def run(self, *, playbook: str, variables: dict[str, Any], **_: Any) -> RunOutcome:
        slot, now = variables["session_request"].get("slot", ""), SystemClock().now_ms()
        if "start" in playbook:
            self.running[slot] = now
            made = {
                "container_id": f"c-{slot}",
                "started_at_ms": now,
                "ready_at_ms": now,
                "host_key": HOST_KEY,
            }
            return RunOutcome(True, {"ok": True, "changed": True, "stages": {}, **made})
        if "stop" in playbook:
            gone = self.running.pop(slot, None) is not None
            return RunOutcome(True, {"ok": True, "changed": gone, "stopped_at_ms": now})
        return RunOutcome(True, {"ok": True, "slots": self.seen()})

    def seen(self) -> list[dict[str, Any]]:
        return [
            {"slot": slot, "container_id": f"c-{slot}", "state": "running", "started_at_ms": at}
            for slot, at in list(self.running.items())
        ]
