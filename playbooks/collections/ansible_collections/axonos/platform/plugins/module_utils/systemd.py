"""Services as systemd units."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed, run
from ansible_collections.axonos.platform.plugins.module_utils.service import Service

UNITS = Path("/etc/systemd/system")


class Systemd:
    """Units named after the instance; systemd starts them again after a reboot."""

    def __init__(self, prefix: str, run_dir: Path) -> None:
        self.prefix = prefix
        self.run_dir = run_dir

    def prepare(self) -> None:
        """Nothing to do: systemd runs."""

    def unit(self, name: str) -> str:
        return f"{self.prefix}-{name}.service"

    def definition(self, service: Service) -> Path:
        return UNITS / self.unit(service.name)

    def text(self, service: Service) -> str:
        """The unit. A percent sign or a dollar would be expanded by systemd, so both are doubled."""
        environment = "".join(
            f"Environment={_quoted(f'{key}={value}')}\n" for key, value in sorted(service.environment.items())
        )
        group = f"Group={service.group}\n" if service.group else ""
        return (
            f"[Unit]\nDescription=AxonOS {service.name} ({self.prefix})\n"
            "After=network.target docker.service\nStartLimitIntervalSec=0\n\n"
            f"[Service]\nType=exec\nUser={service.user}\n{group}WorkingDirectory={service.directory}\n"
            f"ExecStart={' '.join(_quoted(word) for word in service.command)}\n{environment}"
            f"KillSignal=SIG{service.stop_signal}\nTimeoutStopSec={service.stop_s}\nKillMode=mixed\n"
            "Restart=always\nRestartSec=1\nUMask=0027\n\n[Install]\nWantedBy=multi-user.target\n"
        )

    def pid(self, service: Service) -> int:
        """The running main process, 0 if there is none."""
        return self.pid_of(service.system_unit or self.unit(service.name))

    def pid_of(self, unit: str) -> int:
        shown = run(["systemctl", "show", "--property=ActiveState,MainPID", unit], check=False)
        facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        return int(facts.get("MainPID", "0")) if facts.get("ActiveState") == "active" else 0

    def apply(self, service: Service) -> None:
        """Run the unit as it is written now, from a fresh start, and at each boot."""
        unit = service.system_unit or self.unit(service.name)
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "reset-failed", unit], check=False)
        run(["systemctl", "enable", "--quiet", unit])
        # A program that ends at once may fail this or not; who waits for it tells its last words.
        run(["systemctl", "restart", unit], timeout_s=service.stop_s + 90, check=False)

    def stop(self, name: str) -> bool:
        """Stop a unit and take it out of the boot; false if it did not run."""
        was_running = bool(self.pid_of(self.unit(name)))
        run(["systemctl", "disable", "--quiet", "--now", self.unit(name)], timeout_s=180, check=False)
        if self.pid_of(self.unit(name)):
            raise CommandFailed(f"{name} did not stop")
        return was_running

    def shut_down(self) -> bool:
        """Units that were removed are forgotten; systemd itself stays."""
        run(["systemctl", "daemon-reload"])
        return False

    def last_lines(self, name: str) -> str:
        """The end of what a unit's program wrote; where it wrote nothing, what systemd says of it."""
        show = ["journalctl", "--no-pager", "-n", "40", "-o", "cat"]
        own = run([*show, f"_SYSTEMD_UNIT={self.unit(name)}"], check=False).strip()
        return own or run([*show, "-u", self.unit(name)], check=False)


def _quoted(word: str) -> str:
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{safe}"' if set(word) & set(" '\"\\;()") else safe
