"""EC2 of our own: a moto server in this process that can be told to be busy, to lose answers, to be slow."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from pulumi_kit import World, plugin_version
from werkzeug.serving import make_server

from infra.providers.aws_cloud import tag_map
from infra.stack_config import StackConfig, stack_config

BUSY = "RequestLimitExceeded"
AMI = "ami-12c6146b"
# The credentials that such a server wants.
SECRETS = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
    "AWS_EC2_METADATA_DISABLED": "true",
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
_ERROR = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{code} as told</Message></Error></Errors>"
    "<RequestID>r</RequestID></Response>"
)


@dataclass
class Ec2:
    """The server, what it is told to do wrong, and what was asked of it."""

    url: str = ""
    # Per action: codes that are answered, one a request. `lost`: it is done, then the answer is an error.
    faults: dict[str, list[str]] = field(default_factory=dict)
    # Per action: called before it is done.
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        action = parse_qs(body.decode()).get("Action", [""])[0]
        self.asked[action] += 1
        if action in self.before:
            self.before[action]()
        faults = self.faults.get(action) or []
        code = faults.pop(0) if faults else ""
        if code and code != "lost":
            return self._fault(start, code)
        answer = self._app(environ, (lambda *_: None) if code else start)
        if code:
            list(answer)
            return self._fault(start, "InternalError")
        return answer

    @staticmethod
    def _fault(start: Any, code: str) -> list[bytes]:
        start("503 Busy" if code in {BUSY, "InternalError"} else "400 Bad", [("Content-Type", "text/xml")])
        return [_ERROR.format(code=code).encode()]

    def __post_init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)

    @property
    def client(self) -> Any:
        return boto3.client("ec2", region_name="us-east-1", endpoint_url=self.url)

    def instances(self) -> dict[str, dict[str, Any]]:
        """Living machines by name; two of one name are an orphan."""
        found = [
            one
            for reservation in self.client.describe_instances()["Reservations"]
            for one in reservation["Instances"]
            if one["State"]["Name"] not in {"terminated", "shutting-down"}
        ]
        names = [tag_map(one["Tags"])["Name"] for one in found]
        assert len(set(names)) == len(names), f"orphans: {names}"
        return dict(zip(names, found, strict=True))

    def volumes(self) -> dict[str, dict[str, Any]]:
        """Volumes by name."""
        found = self.client.describe_volumes()["Volumes"]
        return {tag_map(one.get("Tags")).get("Name", one["VolumeId"]): one for one in found}

    def group(self) -> dict[str, Any] | None:
        """Our security group."""
        found = self.client.describe_security_groups()["SecurityGroups"]
        return next((one for one in found if one["GroupName"].startswith("axonos-")), None)

    def leftovers(self) -> list[str]:
        """Everything of ours that is there."""
        keys = [one["KeyName"] for one in self.client.describe_key_pairs()["KeyPairs"]]
        return [*self.instances(), *self.volumes(), *(["group"] if self.group() else []), *keys]


@pytest.fixture(scope="module")
def ec2_server() -> Iterator[Ec2]:
    with serving() as made:
        yield made


@contextmanager
def serving() -> Iterator[Ec2]:
    """The server, until the block ends."""
    cloud = Ec2()
    server = make_server("127.0.0.1", 0, cloud, threaded=True)
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield cloud
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ec2(ec2_server: Ec2, monkeypatch: pytest.MonkeyPatch) -> Ec2:
    """The server, empty and well behaved."""
    import urllib.request

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    reset = urllib.request.Request(f"{ec2_server.url}/moto-api/reset", method="POST")
    ec2_server.faults.clear()
    ec2_server.before.clear()
    with urllib.request.urlopen(reset) as answer:
        assert answer.status == 200
    ec2_server.asked.clear()
    return ec2_server


@dataclass
class CloudWorld(World):
    """One stack of kind `aws` on that server."""

    ec2: Ec2 | None = None
    aws: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def config(self, **more: Any) -> StackConfig:
        assert self.ec2 is not None
        key = self.folder / "key"
        key.write_text("private")
        pool = {"name": "gpu", "instance_type": "g5.xlarge", "count": 1, "homes_gib": 50, "simulated_gpus": 2}
        section = {
            "region": "us-east-1",
            "availability_zone": "us-east-1a",
            "ami": AMI,
            "pools": [pool],
            "ssh_cidrs": ["203.0.113.0/24"],
            "gateway_url": "wss://{host}.example.com",
            "key_file": key,
            "public_key": KEY,
            "endpoint": self.ec2.url,
            **self.aws,
        }
        section["pools"] = [{**pool, **one} for one in section["pools"]]
        values = {
            "instance": self.instance,
            "stack": "cloud",
            "kind": "aws",
            "state_dir": self.folder / "state",
            "run_dir": self.folder / "run",
            "aws": section,
        }
        return stack_config(**{**values, **self.more, **more})


@pytest.fixture
def cloud(tmp_path: Path, pulumi_cli: Path, ec2: Ec2) -> CloudWorld:
    return a_cloud(tmp_path, pulumi_cli, ec2)


def a_cloud(folder: Path, cli: Path, ec2: Ec2) -> CloudWorld:
    """A stack of one machine on that server, its state below a folder."""
    tools = folder / "state" / "tools"
    tools.mkdir(parents=True)
    # The decision a machine without a way out comes to, without waiting for it in every test.
    (tools / "aws-provider.json").write_text(f'{{"version": "{plugin_version("aws")}", "official": false}}')
    return CloudWorld(cli=cli, folder=folder, instance="ec2trial", ec2=ec2)


def wait_for(done: Callable[[], bool], seconds: float = 60) -> None:
    """Until something that another process does is done."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.1)
