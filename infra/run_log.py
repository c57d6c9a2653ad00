"""Follows the logs of playbook runs while Pulumi works, and tells which task they are at."""

from __future__ import annotations

import json
from pathlib import Path

from infra.reporting import Report


class RunLogs:
    """Tells each task once, as it starts."""

    def __init__(self, log_dir: Path, report: Report) -> None:
        """Args: where the logs lie; who listens. What they hold already is old and passed over."""
        self._dir, self._report = log_dir, report
        self._seen = {path: (path.stat().st_ino, path.stat().st_size) for path in self._logs()}

    def _logs(self) -> list[Path]:
        return sorted(self._dir.glob("playbook-*.jsonl"))

    def tick(self) -> None:
        """Read what was added since the last time."""
        for path in self._logs():
            node, offset = self._seen.get(path, (0, 0))
            stat = path.stat()
            if (stat.st_ino, stat.st_size) == (node, offset):
                continue
            if stat.st_ino != node or stat.st_size < offset:
                offset = 0
            self._seen[path] = (stat.st_ino, self._tell(path, offset))

    def _tell(self, path: Path, offset: int) -> int:
        name = path.stem.removeprefix("playbook-").removesuffix("-check")
        verb = "checking" if path.stem.endswith("-check") else "running"
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                event = json.loads(line)
                if event.get("event") == "playbook_on_task_start":
                    self._report(f"{verb} {name}: {event.get('task', '')}")
        return offset
