"""Shells for host tests: the image's own SSH server, settings and programs in a small image, and a real client."""

import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from hostkit import SYSTEM_PYTHON, add_program, image_tar, libraries, run

from images.desktop.build import LOCK, ROOTFS, private_apt
from images.desktop.fetch import cached, fetch_packages
from images.desktop.lock import Lock, read_lock

CACHE = Path(__file__).resolve().parents[3] / ".build" / "test-packages"
FROM_THE_LOCK = ("openssh-server", "libwrap0", "tini")
OURS = (
    "etc/axonos", "etc/profile.d", "usr/local/bin/axonos-jupyter",
    "usr/libexec/axonos/ssh", "usr/libexec/axonos/notify", "usr/libexec/axonos/terminals",
)  # fmt: skip
TOOLS = ("bash", "cat", "chmod", "ln", "mkdir", "mkfifo", "mv", "rm", "id", "ls", "sleep", "dd", "true")
ETC = {
    "passwd": "root:x:0:0::/root:/bin/bash\naxon:x:7000:7000::/home/axon:/bin/bash\n",
    "group": "root:x:0:\ntty:x:5:\naxon:x:7000:\n",
    "profile": 'PATH=/usr/local/bin:/usr/bin:/bin\n. /etc/bash.bashrc\nfor f in /etc/profile.d/*.sh; do . "$f"; done\n',
    "bash.bashrc": '[ -z "$PS1" ] && return\n. /etc/axonos/bashrc\n',
    "nsswitch.conf": "passwd: files\ngroup: files\n",
}
CLIENT = (
    "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes",
    "-o", "LogLevel=ERROR",
)  # fmt: skip


def build_shell_image(work):
    """The tiny image, with the desktop image's SSH server and our own files in it."""
    unpacked = work / "packages"
    for package in _packages():
        run("dpkg-deb", "-x", cached(package, CACHE), unpacked)
    done = subprocess.run(
        ["docker", "import", "-c", 'ENTRYPOINT ["/usr/libexec/axonos/desktop"]',
         "-c", "ENV HOME=/home/axon PATH=/usr/local/bin:/usr/bin:/bin", "-"],
        input=image_tar(lambda tar: _add_files(tar, unpacked)), capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def _packages():
    lock = read_lock(LOCK)
    wanted = tuple(package for package in lock.packages if package.name in FROM_THE_LOCK)
    assert len(wanted) == len(FROM_THE_LOCK)
    lost = fetch_packages(Lock(lock.date_s, wanted), CACHE, lambda: private_apt(CACHE))
    assert not lost, f"not to be had any more: {lost}"
    return wanted


def _add_files(tar, unpacked):
    for name in ("usr/sbin/sshd", "usr/bin/tini"):
        tar.add(unpacked / name, name)
    wrap = next(unpacked.rglob("libwrap.so.0.*"))
    tar.add(wrap, "usr/lib/x86_64-linux-gnu/libwrap.so.0")
    programs = [Path(shutil.which(tool)).resolve() for tool in TOOLS]
    for tool, program in zip(TOOLS, programs, strict=True):
        tar.add(program, f"usr/bin/{tool}")
    found = libraries(*programs, wrap)
    listed = run(
        "ldd", unpacked / "usr/sbin/sshd", env={"LD_LIBRARY_PATH": str(wrap.parent), "PATH": "/usr/bin:/bin"}
    )
    found |= {Path(word) for word in re.findall(r"=> (/\S+)", listed) if "libwrap" not in word}
    for library in found - set(libraries(SYSTEM_PYTHON)):
        tar.add(library.resolve(), str(library).lstrip("/"))
    for name in OURS:
        tar.add(ROOTFS / name, name)
    for name, text in ETC.items():
        add_program(tar, f"etc/{name}", text.encode())
    for link, target in (("bin", "usr/bin"), ("usr/bin/sh", "bash")):
        entry = tarfile.TarInfo(link)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        tar.addfile(entry)


class Person:
    """Somebody with a key, a known_hosts file, and OpenSSH's client."""

    def __init__(self, folder, name="alice", kind="ed25519"):
        self.folder = folder
        self.key = folder / f"{name}-{kind}"
        self.known = folder / f"{name}-known"
        if not self.key.exists():
            run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@test", "-f", self.key)
        self.public = " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    def trust(self, answer, port):
        self.known.write_text(f"[127.0.0.1]:{port} {answer['host_key']}\n")

    def command(self, port, *words, user="axon", options=()):
        known = (
            "-o",
            f"UserKnownHostsFile={self.known}",
            "-o",
            "StrictHostKeyChecking=yes",
            "-i",
            str(self.key),
        )
        return ["ssh", *CLIENT, *known, *options, "-p", str(port), f"{user}@127.0.0.1", *words]

    def ssh(self, port, *words, check=True, text="", **options):
        done = subprocess.run(
            self.command(port, *words, **options),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done


class Terminal:
    """A login with a terminal of its own, whose screen can be read."""

    def __init__(self, person, port):
        self.process = subprocess.Popen(
            person.command(port, options=("-tt",)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.shown = b""

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait_for(self, text, patience_s=30):
        import os
        import select

        until = time.monotonic() + patience_s
        while text.encode() not in self.shown:
            assert time.monotonic() < until, f"never shown: {text!r}; {self.shown!r}"
            ready, _, _ = select.select([self.process.stdout], [], [], 0.2)
            if ready:
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data or text.encode() in self.shown, f"the session ended; {self.shown!r}"
                self.shown += data
        return self.shown.decode(errors="replace")

    def ended(self, patience_s=30):
        status = self.process.wait(timeout=patience_s)
        self.shown += self.process.stdout.read()
        return status

    def close(self):
        self.process.kill()
        self.process.communicate()
