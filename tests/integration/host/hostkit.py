"""What host tests stand on: a tiny desktop image, a btrfs volume for homes, and an instance of their own."""

import dataclasses
import io
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from controller.host.config import HostConfig, load
from controller.host.names import Slot

HERE = Path(__file__).parent
SYSTEM_PYTHON = Path("/usr/bin/python3").resolve()
NOTIFY = """#!/usr/bin/python3
import json, sys
with open("/home/axon/notified", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + chr(10))
"""
HOST = [sys.executable, "-m", "controller.host"]


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.strip()


def image_tar(add_more=None):
    """A root file system with the system's own Python, its libraries, and the two programs of the contract."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("tmp", "var/tmp", "run/desktop", "home/axon", "proc", "sys", "dev", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder.endswith("tmp") else 0o755
            tar.addfile(entry)
        tar.add(SYSTEM_PYTHON, "usr/bin/python3")
        stdlib = Path(run(SYSTEM_PYTHON, "-c", "import os; print(os.path.dirname(os.__file__))"))
        for library in libraries(SYSTEM_PYTHON, *stdlib.glob("lib-dynload/_ctypes.*")):
            tar.add(library.resolve(), str(library).lstrip("/"))
        tar.add(stdlib, str(stdlib).lstrip("/"), filter=without_bulk)
        add_program(
            tar,
            "usr/libexec/axonos/desktop",
            b"#!/usr/bin/python3\n" + (HERE / "tiny_desktop.py").read_bytes(),
        )
        if add_more:
            add_more(tar)
        else:
            add_program(tar, "usr/libexec/axonos/notify", NOTIFY.encode())
    return buffer.getvalue()


def libraries(*programs):
    words = run("ldd", *programs).split()
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}


def without_bulk(entry):
    bulky = (
        "/test",
        "/__pycache__",
        "/idlelib",
        "/lib2to3",
        "/ensurepip",
        "config-3",
        "/tkinter",
        "/pydoc_data",
    )
    return None if any(part in entry.name for part in bulky) else entry


def add_program(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(content)
    tar.addfile(entry, io.BytesIO(content))


def build_image():
    done = subprocess.run(
        ["docker", "import", "-c", 'ENTRYPOINT ["/usr/libexec/axonos/desktop"]', "-"],
        input=image_tar(), capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


@dataclasses.dataclass
class TestHost:
    """One instance on this machine, and the host program called as a playbook would."""

    __test__ = False
    config: HostConfig
    config_path: Path
    image: str
    made: set = dataclasses.field(default_factory=set)

    def request(self, number=1, **changes):
        return start_request(self.config.instance, self.image, self.wallet(number), number) | changes

    def call(self, action, body):
        self.made.add(body.get("slot"))
        done = subprocess.run(
            [*HOST, action, "--config", str(self.config_path)],
            input=json.dumps(body), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.stderr == "", done.stderr
        return json.loads(done.stdout)

    def start(self, number=1, **changes):
        return self.call("start", self.request(number, **changes))

    def started(self, number=1, **changes):
        answer = self.start(number, **changes)
        assert answer["ok"], answer
        return answer

    def stop(self, number=1, token=1, **changes):
        body = {"instance": self.config.instance, "slot": slot_id(number), "fencing_token": token}
        return self.call("stop", body | {"timeout_s": 5} | changes)

    def probe(self):
        return self.call("probe", {"instance": self.config.instance})["slots"]

    def slot(self, number=1):
        return Slot(self.config, slot_id(number))

    def home(self, number=1):
        return self.config.homes_dir / self.wallet(number)

    def wallet(self, number):
        """A wallet of this test alone: the volume of homes is shared by all tests."""
        return f"0x{self.config.instance.encode().hex():0<36}{number:04x}"

    def inside(self, code, number=1):
        """Run Python inside the desktop, as its user; what it prints."""
        return run("docker", "exec", self.slot(number).container, "/usr/bin/python3", "-c", code)

    def leavings(self, number=1):
        """What is left of a slot on this machine, by kind."""
        slot = self.slot(number)
        found = {
            "container": run("docker", "ps", "-aq", "--filter", f"name=^{slot.container}$"),
            "network": run("docker", "network", "ls", "-q", "--filter", f"name=^{slot.network}$"),
            "folder": "yes" if slot.folder.exists() else "",
            "mount": "yes" if str(slot.folder) in Path("/proc/self/mounts").read_text() else "",
            "lease": "yes" if (self.config.run_dir / "leases" / f"{slot.id}.json").exists() else "",
        }
        return {kind for kind, there in found.items() if there}

    def clear(self):
        for slot in self.made - {None}:
            body = {"instance": self.config.instance, "slot": slot, "fencing_token": 2**62, "timeout_s": 0}
            self.call("stop", body)


def start_request(instance, image, home, number=1):
    """A desktop on one simulated GPU, for ten minutes."""
    return {
        "instance": instance,
        "slot": slot_id(number),
        "subnet_index": number,
        "session": f"session-{number}",
        "generation": 1,
        "fencing_token": 1,
        "lease_until_ms": round(time.time() * 1000) + 600_000,
        "image": image,
        "config_digest": "sha256:0123456789abcdef",
        "home": home,
        "gpus": [f"SIM-{number}"],
        "simulated": True,
        "cpus": 1.0,
        "memory_mib": 256,
        "pids": 128,
        "geometry": "1280x800",
        "fresh_start": False,
        "start_timeout_s": 20,
    }


def slot_id(number):
    return f"s-{number:012x}"


def write_config(folder, instance, pool, homes, **changes):
    values = {
        "name": "host-1",
        "controller_url": "http://127.0.0.1:9",
        "homes_dir": homes,
        "run_dir": folder / "run",
        "ticket_public_key": folder / "ticket_public.pem",
        "guard_token": folder / "guard_token",
        "pages_origin": "http://localhost:8080",
        "subnet_pool": pool,
        "gateway_group": "nogroup",
    } | changes
    lines = [f'instance = "{instance}"', "[host]"] + [f'{key} = "{value}"' for key, value in values.items()]
    path = folder / "axonos.toml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o640)
    return path, load(path, trusted=True)
