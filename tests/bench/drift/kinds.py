"""The kinds of drift: how each is injected on a host, how a check must name it, how its repair is seen.

Commands run on the host as root, in `sh`. They know nothing of the product but where its files lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """Where an instance lies on the host."""

    instance: str
    state: str
    run: str

    @property
    def words(self) -> dict[str, str]:
        """What commands may name."""
        prefix = "axonos" if self.instance == "axonos" else f"axonos-{self.instance}"
        control = f"{self.state}/venv/bin/supervisorctl -c {self.state}/supervisor/supervisord.conf"
        return {
            "prefix": prefix,
            "state": self.state,
            "run": self.run,
            "login": f"/var/lib/{prefix}-login",
            "control": control,
            "desktop": "$(docker ps --quiet --filter label=org.axonos.slot | head -n 1)",
            "table": f"$(nft list tables | awk '/{self.instance}/ {{print $3}}')",
        }


@dataclass(frozen=True)
class Kind:
    """One kind. `named` is part of what a check must say; `follows` may be named because of it."""

    name: str
    inject: str
    named: str
    repaired: str
    follows: tuple[str, ...] = field(default=())
    slow: bool = False


# What restarts when the host's configuration is mended.
_CONFIGURED = ("gateway: its configuration", "guard: its configuration")

FIRST = (
    Kind("file content", "echo '# by hand' >> {state}/host.toml", "{state}/host.toml: content differs",
         "! grep -q 'by hand' {state}/host.toml", _CONFIGURED),
    Kind("file mode", "chmod 0444 /etc/sudoers.d/{prefix}", "/etc/sudoers.d/{prefix}: mode 0444",
         "test $(stat -c %a /etc/sudoers.d/{prefix}) = 440"),
    Kind("file owner", "chown nobody {state}/secrets/guard_token", "{state}/secrets/guard_token: owner",
         "test $(stat -c %U {state}/secrets/guard_token) = root"),
    Kind("file missing", "rm /etc/tmpfiles.d/{prefix}.conf", "/etc/tmpfiles.d/{prefix}.conf: missing",
         "test -s /etc/tmpfiles.d/{prefix}.conf"),
    Kind("secret replaced", "echo another > {state}/secrets/ticket_public.pem",
         "{state}/secrets/ticket_public.pem: content differs",
         "grep -q 'PUBLIC KEY' {state}/secrets/ticket_public.pem"),
    Kind("folder missing", "rm -r {state}/runs", "{state}/runs: missing", "test -d {state}/runs"),
    Kind("folder mode", "chmod 0777 {run}/slots", "{run}/slots: mode 0777",
         "test $(stat -c %a {run}/slots) = 711"),
    Kind("folder owner", "chown nobody {state}/logs", "{state}/logs: owner",
         "test $(stat -c %U {state}/logs) = root"),
    Kind("added SSH key", "echo 'ssh-ed25519 AAAA stranger' >> {login}/.ssh/authorized_keys",
         "{login}/.ssh/authorized_keys: content differs",
         "! grep -q stranger {login}/.ssh/authorized_keys"),
    Kind("login shell", "usermod --shell /usr/sbin/nologin axonos", "user axonos: home",
         "getent passwd axonos | grep -q /bin/sh"),
    Kind("package", "dpkg --remove --force-depends procps", "procps: not installed",
         "dpkg-query -W -f '${{db:Status-Abbrev}}' procps | grep -q ^ii"),
    Kind("program changed", "echo '# by hand' >> {state}/src/controller/guard/loop.py",
         "{state}/src/controller/guard/loop.py: content differs",
         "! grep -q 'by hand' {state}/src/controller/guard/loop.py"),
    Kind("program added", "echo 'x = 1' > {state}/src/controller/host/extra.py",
         "{state}/src/controller/host/extra.py: not ours",
         "! test -e {state}/src/controller/host/extra.py"),
    Kind("program mode", "chmod 0666 {state}/src/controller/host/stop.py",
         "{state}/src/controller/host/stop.py: mode 0666",
         "test $(stat -c %a {state}/src/controller/host/stop.py) = 644"),
    Kind("program's entry", "echo '# by hand' >> {state}/venv/bin/axonos-host",
         "{state}/venv/bin/axonos-host: not as written",
         "! grep -q 'by hand' {state}/venv/bin/axonos-host"),
    Kind("unit stopped", "{control} stop guard", "guard: stopped", "{control} status guard | grep -q RUNNING"),
    Kind("unit changed", "echo '; by hand' >> {state}/supervisor/programs/gateway.conf",
         "gateway: definition differs", "! grep -q 'by hand' {state}/supervisor/programs/gateway.conf"),
    Kind("sysctl", "sysctl -q -w net.ipv4.conf.all.send_redirects=1 || "
         "echo 1 > /proc/sys/net/ipv4/conf/all/send_redirects",
         "net.ipv4.conf.all.send_redirects: 1, not 0",
         "test $(cat /proc/sys/net/ipv4/conf/all/send_redirects) = 0"),
    Kind("sysctl at boot", "sed -i d /etc/sysctl.d/60-{prefix}.conf",
         "/etc/sysctl.d/60-{prefix}.conf: content differs", "grep -q ip_forward /etc/sysctl.d/60-{prefix}.conf"),
    Kind("firewall rule", "nft add rule inet {table} to_host accept", "firewall table: rules differ",
         "! nft list chain inet {table} to_host | grep -q '^[[:space:]]*accept'"),
    Kind("daemon.json", "echo '{{}}' > /etc/docker/daemon.json", "/etc/docker/daemon.json: content differs",
         "grep -q live-restore /etc/docker/daemon.json", ("docker: its configuration",)),
    Kind("container flag", "docker update --pids-limit 4096 {desktop}", "PidsLimit 4096, not",
         "test $(docker inspect --format '{{{{.HostConfig.PidsLimit}}}}' {desktop}) -lt 4096"),
    Kind("container restarts", "docker update --restart always {desktop}", "restarts always",
         "test $(docker inspect --format '{{{{.HostConfig.RestartPolicy.Name}}}}' {desktop}) = no"),
    Kind("mount", "umount -l {state}/homes", "{state}/homes: not mounted", "mountpoint -q {state}/homes"),
)  # fmt: skip
# What cannot be injected beside one of the others.
SECOND = (
    Kind("quota", "btrfs quota disable {state}/homes", "{state}/homes: quotas are off",
         "btrfs qgroup show {state}/homes"),
    Kind("firewall table", "{control} stop guard && nft delete table inet {table}", "firewall table: missing",
         "test -n {table}", ("guard: stopped",)),
    Kind("engine stopped", "{control} stop docker", "docker: stopped",
         "docker version", ("docker: does not answer",)),
    Kind("unit changed and stopped", "echo '; by hand' >> {state}/supervisor/programs/gateway.conf && "
         "{control} stop gateway", "gateway: definition differs",
         "{control} status gateway | grep -q RUNNING"),
    Kind("Python package", "rm -r {state}/venv/lib/python3*/site-packages/h11-*.dist-info",
         "{state}/venv: not as locked", "ls {state}/venv/lib/python3*/site-packages | grep -q h11-", slow=True),
)  # fmt: skip
