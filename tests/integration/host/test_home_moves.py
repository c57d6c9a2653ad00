"""A home that goes from one host to another: two btrfs volumes, the host program as root, and kills on the way."""

import contextlib
import hashlib
import io
import json
import random
import signal
import stat
import struct
import subprocess
import uuid

import pytest
from hostkit import HOST, run, write_config

from controller.host import home_fence, homes, hostkeys
from controller.host.home_stream import Writer
from controller.host.words import HostRefused

WALLET = "0x" + "ab" * 20


class Place:
    """One host's homes."""

    def __init__(self, folder, name, mount):
        folder.mkdir()
        self.name, self.mount = name, mount
        self.instance = "m" + uuid.uuid4().hex[:8]
        self.path, self.config = write_config(folder, self.instance, "10.219.16.0/20", mount)

    def command(self, action):
        return [*HOST, action, "--config", str(self.path)]

    def ask(self, action, **fields):
        body = {"instance": self.instance, "home": WALLET} | fields
        done = subprocess.run(
            self.command(action),
            input=json.dumps(body).encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return None if action == "home-send" else json.loads(done.stdout)

    def open(self, generation, base=""):
        return homes.ensure(self.config, WALLET, generation, base)

    @property
    def home(self):
        return self.mount / WALLET


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Two file systems, as two hosts have."""
    folder = tmp_path_factory.mktemp("volumes")
    made = []
    try:
        for name in ("a", "b"):
            disk, mount = folder / f"{name}.btrfs", folder / name
            run("fallocate", "-l", "256M", disk)
            run("mkfs.btrfs", "-q", disk)
            mount.mkdir()
            device = run("losetup", "--find", "--show", disk)
            made.append((device, mount))
            run("mount", device, mount)
        yield folder / "a", folder / "b"
    finally:
        for device, mount in made:
            subprocess.run(["umount", mount], capture_output=True, check=False)
            run("losetup", "--detach", device)


@pytest.fixture
def hosts(tmp_path, volumes):
    """Two hosts without any home."""
    a, b = (Place(tmp_path / name, name, mount) for name, mount in zip("ab", volumes, strict=True))
    yield a, b
    for place in (a, b):
        where = home_fence.folder(place.mount, WALLET)
        for path in [place.home, *(where.iterdir() if where.is_dir() else [])]:
            if path.is_dir():
                run("btrfs", "subvolume", "delete", path)
        subprocess.run(["rm", "-rf", where.parent, place.mount / hostkeys.FOLDER], check=True)


def fill(home, seed, files=20, size=20_000):
    """Pseudo-random files, a link, and a name that needs care."""
    source = random.Random(seed)
    for number in range(files):
        path = home / f"folder {number % 3}" / f"file-{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.randbytes(size))
    (home / "link").symlink_to("/etc/passwd")
    (home / "später ✓").write_text("name")


def tree(folder):
    """Names, kinds, modes, owners, targets and contents, as one digest."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            content = str(path.readlink()).encode()
        else:
            content = path.read_bytes() if path.is_file() else b""
        facts = (str(path.relative_to(folder)), oct(status.st_mode), status.st_uid, status.st_gid)
        total.update(repr(facts).encode() + hashlib.sha256(content).digest())
    return total.hexdigest()


def send_request(source, target, name, **fields):
    have = target.ask("home-list")["snapshots"]
    body = {"instance": source.instance, "home": WALLET, "name": name, "have": have}
    return json.dumps(body | {"close": False, "generation": 1} | fields).encode()


def carry(source, target, name, *, cut_after=None, kill=None, **fields):
    """What the controller does: one program's output is the other's input. Cut, or one of them killed."""
    asked = send_request(source, target, name, **fields)
    sender = subprocess.Popen(source.command("home-send"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    taker = subprocess.Popen(target.command("home-receive"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sender.stdin.write(asked)
    sender.stdin.close()
    taker.stdin.write(
        json.dumps({"instance": target.instance, "home": WALLET, "name": name}).encode() + b"\n"
    )
    passed = 0
    while data := sender.stdout.read1(4096):
        if cut_after is not None and passed >= cut_after:
            if kill:
                {"sender": sender, "taker": taker}[kill].send_signal(signal.SIGKILL)
            break
        passed += len(data)
        try:
            taker.stdin.write(data)
            taker.stdin.flush()
        except BrokenPipeError:
            break
    sender.stdout.close()
    sender.wait(timeout=60)
    with contextlib.suppress(BrokenPipeError):
        taker.stdin.close()
    said = taker.stdout.read()
    taker.stdout.close()
    taker.wait(timeout=60)
    return (json.loads(said) if said else {"ok": False, "code": "killed"}), passed


def moved(source, target, generation, **options):
    answer, passed = carry(source, target, f"g{generation}", close=True, generation=generation, **options)
    return answer, passed


def test_a_home_arrives_as_it_was_and_only_what_changed_travels_back_and_forth(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=1, files=100)
    before = tree(a.home)

    answer, first = moved(a, b, 2)
    assert answer["ok"], answer
    assert answer["parent"] is None
    b.open(2, "g2")
    assert tree(b.home) == before

    (b.home / "folder 1" / "file-4").write_bytes(random.Random(2).randbytes(9_000))
    (b.home / "folder 2" / "file-5").unlink()
    after = tree(b.home)
    answer, second = moved(b, a, 3)
    assert answer["parent"] == "g2"
    assert second < first / 50
    a.open(3, "g3")
    assert tree(a.home) == after


def test_the_host_key_goes_with_its_home_and_is_told_to_nobody(hosts):
    a, b = hosts
    a.open(1, "new")
    key = hostkeys.ensure(a.config, WALLET)
    answer, _ = moved(a, b, 2)
    assert answer["ok"]
    assert "PRIVATE KEY" not in json.dumps(answer)
    b.open(2, "g2")
    there = hostkeys.ensure(b.config, WALLET)
    assert (there.public, there.file.read_bytes()) == (key.public, key.file.read_bytes())
    status = there.file.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (b.config.session_uid, 0o400)
    assert stat.S_IMODE(there.file.parent.stat().st_mode) == 0o700
    there.file.unlink()
    assert hostkeys.ensure(b.config, WALLET).public != key.public, "a lost key is made anew"
    changed = hostkeys.ensure(b.config, WALLET).public
    assert moved(b, a, 3)[0]["ok"]
    assert hostkeys.ensure(a.config, WALLET).public == changed, "the home's host has the right one"


def test_a_home_without_a_host_key_arrives_without_one(hosts):
    a, b = hosts
    a.open(1, "new")
    assert moved(a, b, 2)[0]["ok"]
    assert hostkeys.read(b.config, WALLET) is None


@pytest.mark.parametrize(
    "secret", ["", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nx", "x" * 5000]
)
def test_a_host_key_that_is_none_is_not_kept(hosts, secret):
    with pytest.raises(HostRefused, match="host key"):
        hostkeys.place(hosts[1].config, WALLET, secret)
    assert hostkeys.read(hosts[1].config, WALLET) is None


def test_a_home_is_writable_in_one_place_at_most(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=3)
    assert moved(a, b, 2)[0]["ok"]
    with pytest.raises(OSError, match="Read-only"):
        (a.home / "late").write_text("too late")
    with pytest.raises(HostRefused, match="home_fenced"):
        a.open(1)
    with pytest.raises(HostRefused, match="home_fenced"):
        a.open(2)
    assert not b.home.exists(), "it is opened when the controller says so, not because it came"
    b.open(2, "g2")
    (b.home / "here").write_text("fine")
    with pytest.raises(HostRefused, match="home_fenced"):
        b.open(1)


def test_a_move_that_is_given_up_leaves_the_home_where_it_was(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=4)
    before = tree(a.home)
    assert not moved(a, b, 2, cut_after=100_000)[0]["ok"]
    a.open(3)
    assert tree(a.home) == before
    (a.home / "again").write_text("writable")
    assert not moved(a, b, 2)[0]["ok"], "an old move comes too late"


@pytest.mark.parametrize("kill", [None, "sender", "taker"])
@pytest.mark.parametrize("cut_after", [0, 5_000, 120_000, 390_000])
def test_cut_or_killed_anywhere_nothing_half_counts_and_the_same_move_ends_well(hosts, cut_after, kill):
    a, b = hosts
    fill(a.open(1, "new"), seed=cut_after)
    before = tree(a.home)
    answer, _ = moved(a, b, 2, cut_after=cut_after, kill=kill)
    assert not answer["ok"]
    assert b.ask("home-list")["snapshots"] == {}
    with pytest.raises(HostRefused, match="home_missing"):
        b.open(2, "g2")
    assert tree(a.home) == before

    assert moved(a, b, 2)[0]["ok"]
    b.open(2, "g2")
    assert tree(b.home) == before


def test_a_host_that_was_believed_dead_loses_its_right_and_none_of_its_files(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=5)
    assert carry(a, b, "r1")[0]["ok"]
    (a.home / "written later").write_text("not in the replica")
    b.open(2, "r1")  # the controller gave a up
    (b.home / "elsewhere").write_text("goes on")

    assert moved(b, a, 3)[0]["ok"]
    a.open(3, "g3")
    assert (a.home / "elsewhere").read_text() == "goes on"
    assert not (a.home / "written later").exists()
    kept = [name for name in a.ask("home-list")["snapshots"] if name.startswith("lost-")]
    assert len(kept) == 1
    a.ask("home-forget", keep=["g3"])
    assert (
        home_fence.folder(a.mount, WALLET) / kept[0] / "written later"
    ).read_text() == "not in the replica"


def test_a_home_in_use_does_not_leave(hosts):
    a, b = hosts
    fill(a.open(1, "new"), seed=6)
    leases = a.config.run_dir / "leases"
    leases.mkdir(parents=True)
    lease = dict.fromkeys(("session", "config_digest"), "x") | dict.fromkeys(
        ("generation", "fencing_token", "until_ms", "subnet_index"), 1
    )
    (leases / "s-000000000001.json").write_text(
        json.dumps(lease | {"slot": "s-000000000001", "home": WALLET, "gpus": []})
    )
    answer, _ = moved(a, b, 2)
    assert (answer["code"], answer["retry"]) == ("volume_busy", "here")
    (a.home / "still").write_text("mine")


def test_a_missing_home_is_not_replaced_by_an_empty_one(hosts):
    a, _ = hosts
    with pytest.raises(HostRefused, match="home_missing"):
        a.open(4)
    assert not a.home.exists()


@pytest.mark.parametrize(
    "bad", [{"home": "../etc"}, {"name": "../x"}, {"name": "-c"}, {"have": {"x": "y"}}, {"more": 1}]
)
def test_malformed_requests_are_refused(hosts, bad):
    a, b = hosts
    fields = {"close": True, "generation": 1, "name": "g1", "have": {}}
    body = json.dumps({"instance": a.instance, "home": WALLET} | fields | bad).encode()
    sent = subprocess.run(a.command("home-send"), input=body, capture_output=True, timeout=60, check=False)
    taken = json.dumps({"instance": b.instance, "home": WALLET, "name": "g1"}).encode() + b"\n"
    answer = subprocess.run(
        b.command("home-receive"), input=taken + sent.stdout, capture_output=True, timeout=60, check=False
    )
    assert json.loads(answer.stdout)["code"] == "bad_input"


def crc32c(data):
    """The sum of a command of a btrfs stream."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


def renamed(stream, old, new):
    """A btrfs stream with another path of the same length in its commands, and sums that are right again."""
    out, at = [stream[:17]], 17
    while at < len(stream):
        length, command, _ = struct.unpack_from("<IHI", stream, at)
        data = stream[at + 10 : at + 10 + length].replace(old, new)
        head = struct.pack("<IHI", length, command, crc32c(struct.pack("<IHI", length, command, 0) + data))
        out.append(head + data)
        at += 10 + length
    return b"".join(out)


def test_a_host_that_lies_cannot_write_outside_the_folder(hosts, tmp_path):
    a, b = hosts
    home, outside = a.open(1, "new"), tmp_path / "outside"
    outside.mkdir()
    (home / "x").symlink_to(outside)
    (home / "y").mkdir()
    (home / "y" / "evil.txt").write_text("escaped")
    assert a.ask("home-send", name="g2", have={}, close=False, generation=1) is None
    stream = subprocess.run(
        ["btrfs", "send", "--quiet", home_fence.folder(a.mount, WALLET) / "g2"],
        capture_output=True,
        check=True,
    ).stdout
    buffer = io.BytesIO()
    writer = Writer(buffer)
    writer.write(renamed(stream, b"y/evil.txt", b"x/evil.txt"))
    writer.end({"ok": True, "name": "g2", "identity": a.ask("home-list")["snapshots"]["g2"]})
    asked = json.dumps({"instance": b.instance, "home": WALLET, "name": "g2"}).encode() + b"\n"

    taken = subprocess.run(
        b.command("home-receive"),
        input=asked + buffer.getvalue(),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert json.loads(taken.stdout)["code"] == "home_broken_off"
    assert list(outside.iterdir()) == []
