"""Files in and out of a home through gateway and guard, and everything that tries to get at more than one home."""

import io
import os
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hostkit import run, write_config

from controller.domain.ticket import HOME, TicketClaims, home_session, issue
from controller.files.channel import DATA, WORDS, Channel, Gone
from controller.guard import files
from controller.host.homes import ensure

pytestmark = pytest.mark.integration
WALLET, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20


class Place:
    """One host with two homes; connects as the gateway would."""

    def __init__(self, folder, homes):
        self.instance = "f" + uuid.uuid4().hex[:8]
        self.path, self.config = write_config(folder, self.instance, "10.219.32.0/20", homes)
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.config.ticket_public_key.write_bytes(public)
        self.home, self.other = ensure(self.config, WALLET), ensure(self.config, OTHER)
        self.links = []

    def ticket(self, wallet=WALLET, generation=0, base="", **changes):
        now = round(time.time() * 1000)
        claims = {"id": uuid.uuid4().hex, "session": home_session(wallet, generation, base), "slot": HOME}
        claims |= {"host": self.config.name, "origin": self.config.pages_origin}
        claims |= {"issued_at_ms": now, "expires_at_ms": now + 30_000}
        return issue(TicketClaims(**claims | changes), self.key.sign)

    def open(self, ticket=None):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(20)
        self.links.append(link)
        link.connect(str(self.config.run_dir / "files.sock"))
        link.sendall((self.ticket() if ticket is None else ticket).encode() + b"\n")
        return Home(link)


class Home(Channel):
    """The other end of the connection."""

    def __init__(self, link):
        super().__init__(link)
        self.link = link
        self.hello = self.hear()

    def ask(self, op, path="/", **more):
        self.say(op=op, path=path, **more)
        return self.hear()

    def names(self, path="/"):
        said = self.ask("list", path)
        found = said["entries"]
        while "more" not in said:
            said = self.hear()
            found += said["entries"]
        return {entry["name"]: entry["kind"] for entry in found}

    def get(self, op, path):
        said = self.ask(op, path)
        if not said["ok"]:
            return said
        data = b""
        while True:
            kind, content = self._message(1 << 20)
            if kind == WORDS:
                return data
            data += content

    def put(self, path, data, size=None):
        said = self.ask("write", path, size=len(data) if size is None else size)
        if said["ok"]:
            for at in range(0, len(data), 60_000):
                self.give(data[at : at + 60_000])
            said = self.hear()
        return said


def unpacked(data):
    """The entries of an archive by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar.getmembers()}


@pytest.fixture(scope="module")
def place(tmp_path_factory, homes):
    folder = tmp_path_factory.mktemp("files")
    made, stopping = Place(folder, homes), threading.Event()
    os.environ["AXONOS_CONFIG"] = str(made.path)
    thread = files.listen(made.config, stopping)
    yield made
    stopping.set()
    thread.join(5)
    del os.environ["AXONOS_CONFIG"]
    for home in (made.home, made.other):
        run("btrfs", "subvolume", "delete", home)


@pytest.fixture(autouse=True)
def hung_up(place):
    yield
    while place.links:
        place.links.pop().close()


@pytest.fixture
def home(place):
    opened = place.open()
    assert opened.hello == {"ok": True}
    return opened


def test_files_go_in_and_out_and_belong_to_the_homes_owner(place, home):
    data = os.urandom(3_000_000)
    assert home.ask("mkdir", "/results")["ok"]
    assert home.put("/results/a file", data) == {"ok": True, "done": True}
    assert home.get("read", "results/a file") == data
    assert home.names("/results") == {"a file": "file"}
    seen = (place.home / "results" / "a file").stat()
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (place.config.session_uid, 0o644)
    assert home.put("/results/a file", b"") == {"ok": True, "done": True}
    assert home.get("read", "/results/a file") == b""
    assert home.ask("remove", "/results")["ok"]
    assert "results" not in home.names()


def test_names_end_inside_the_home(place, home):
    (place.other / "secret").write_text("of somebody else")
    top = place.config.homes_dir
    for name, target in {
        "up": f"../{OTHER}/secret",
        "far": f"{top}/{OTHER}/secret",
        "root": "/etc/shadow",
        "folder": f"{top}/{OTHER}",
        "self": "/proc/self/root/etc/shadow",
    }.items():
        (place.home / name).unlink(missing_ok=True)
        (place.home / name).symlink_to(target)
        assert not home.ask("read", name)["ok"]
        assert not home.ask("read", f"{name}/secret")["ok"]
    for path in (
        f"../{OTHER}/secret",
        f"/../../{OTHER}/secret",
        "../../../../etc/shadow",
        "/proc/self/environ",
    ):
        assert not home.ask("read", path)["ok"]
        assert not home.ask("list", path)["ok"]
    assert home.put("up", b"mine") == {"ok": True, "done": True}  # takes the link's place
    assert (place.home / "up").read_bytes() == b"mine"
    assert home.put("folder/secret", b"no")["ok"] is False  # and the connection is over
    assert place.open().ask("remove", "far")["ok"]
    assert (place.other / "secret").read_text() == "of somebody else"


def test_the_process_has_given_up_everything(place, home):
    home.names()
    mine = [pid for pid in Path("/proc").iterdir() if _serves(pid, place.home)]
    assert len(mine) == 1
    lines = (mine[0] / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert set(status["Uid"].split()) == {str(place.config.session_uid)}
    assert status["Groups"].strip() == ""
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    links = [str(fd.readlink()) for fd in (mine[0] / "fd").iterdir()]
    assert not any(str(place.config.homes_dir) in link for link in links)


def _serves(pid, home):
    try:
        return b"controller.files" in (pid / "cmdline").read_bytes() and (pid / "root").readlink() == home
    except OSError:
        return False


def test_special_files_are_neither_read_nor_waited_for(place, home):
    subprocess.run(["mkfifo", place.home / "pipe"], check=True)
    subprocess.run(["mknod", place.home / "zero", "c", "1", "5"], check=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(place.home / "sock"))
    for name in ("pipe", "zero", "sock"):
        (place.home / name).chmod(0o666)
        assert home.names()[name] == "special"
        assert home.ask("read", name)["ok"] is False
        assert place.open().put(f"{name}/x", b"x")["ok"] is False
    names = unpacked(home.get("archive", "/")).keys()
    assert not {"pipe", "zero", "sock"} & set(names)
    for name in ("pipe", "zero", "sock"):
        assert home.ask("remove", name)["ok"]


def test_nothing_of_the_home_is_loaded_by_the_process(place):
    """Modules and libraries would be the owner's own, run on the host outside any session."""
    for folder in ("lib", "etc", "usr/lib", *(p.lstrip("/") for p in sys.path if p)):
        (place.home / folder).mkdir(parents=True, exist_ok=True)
        for name in ("pwd", "grp", "encodings", "tarfile", "shutil", "traceback", "linecache"):
            (place.home / folder / f"{name}.py").write_text("open('/loaded', 'w')")
    (place.home / "etc/passwd").write_text("evil:x:7000:7000::/:/bin/sh\n")
    subprocess.run(["chown", "-R", str(place.config.session_uid), place.home], check=True)
    home = place.open()
    home.names()
    home.ask("nonsense")
    home.ask("read", "/none")
    data = home.get("archive", "/etc")
    assert unpacked(data)["passwd"].uname == ""
    assert not (place.home / "loaded").exists()
    for folder in ("lib", "usr", "etc"):
        home.ask("remove", folder)


def test_an_archive_is_a_stream_and_keeps_links_as_links(place, home):
    (place.home / "tree").mkdir()
    os.chown(place.home / "tree", place.config.session_uid, -1)
    (place.home / "tree/abs").symlink_to("/etc/shadow")
    with (place.home / "tree/hole").open("wb") as file:
        file.truncate(200_000_000)
    said = home.ask("archive", "/tree")
    assert said["ok"]
    received = 0
    while True:
        kind, content = home._message(1 << 20)
        if kind == WORDS:
            break
        assert kind == DATA
        received += len(content)
    assert received > 200_000_000
    assert home.ask("remove", "/tree/hole")["ok"]
    archive = unpacked(home.get("archive", "/tree"))
    assert archive["abs"].linkname == "/etc/shadow"
    home.ask("remove", "/tree")


def test_an_upload_is_whole_or_not_there(place, home):
    assert home.put("big", b"x" * 100, size=50)["code"] == "broken_off"
    with pytest.raises(Gone):
        home.ask("list")
    second = place.open()
    second.ask("write", "half", size=1_000)
    second.give(b"x" * 10)
    second.link.close()
    third = place.open()
    for _ in range(100):
        if not any(name.startswith(".axonos-upload") for name in third.names()):
            break
        time.sleep(0.05)
    assert not {"big", "half"} & third.names().keys()
    assert third.ask("write", "huge", size=1 << 60)["ok"] is False
    assert third.ask("write", "/", size=1)["ok"] is False


def test_messages_that_are_none_end_the_connection(place):
    for junk in (
        struct.pack("!IB", 1 << 31, WORDS),
        struct.pack("!IB", 3, WORDS) + b"[1]",
        b"GET / HTTP/1.1\r\n",
    ):
        home = place.open()
        home.link.sendall(junk)
        with pytest.raises(Gone):
            home.hear()


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere"},
        {"slot": "s-0123456789ab"},
        {"session": f"../{OTHER} 0 "},
        {"session": f"{WALLET} 0 ../../x"},
        {"session": WALLET},
        {"session": "0x" + "ee" * 20 + " 0 "},
        {"origin": "https://evil.example"},
        {"issued_at_ms": 1_000, "expires_at_ms": 2_000},
    ],
)
def test_other_tickets_open_nothing(place, changes):
    assert place.open(place.ticket(**changes)).hello["ok"] is False


def test_a_ticket_of_another_key_opens_nothing(place):
    place.key, key = Ed25519PrivateKey.generate(), place.key
    try:
        assert place.open().hello["code"] == "ticket_refused"
    finally:
        place.key = key
    assert place.open("x" * 900).hello["ok"] is False
    assert place.open(place.ticket(OTHER)).names().keys() == {"secret"}


def test_only_the_gateways_group_may_connect(place):
    seen = (place.config.run_dir / "files.sock").stat()
    assert seen.st_uid == 0
    assert not stat.S_IMODE(seen.st_mode) & 0o007
