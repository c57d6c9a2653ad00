"""Public SSH keys: what is taken, what an attacker pastes, and that nothing but type and blob ever comes out."""

from __future__ import annotations

import base64
import subprocess
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import BadSshKey
from controller.services.shells.public_keys import MAX_KEY_CHARS, read_key


def line_of(private) -> str:
    return private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def word(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def sk_line(kind: str, *words: bytes, app: bytes = b"ssh:") -> str:
    return f"{kind} {base64.b64encode(b''.join(map(word, [kind.encode(), *words, app]))).decode()}"


ED25519 = line_of(ed25519.Ed25519PrivateKey.generate())
POINT = ec.generate_private_key(ec.SECP256R1()).public_key()
GOOD = {
    "ed25519": ED25519,
    "nistp256": line_of(ec.generate_private_key(ec.SECP256R1())),
    "nistp384": line_of(ec.generate_private_key(ec.SECP384R1())),
    "nistp521": line_of(ec.generate_private_key(ec.SECP521R1())),
    "rsa3072": line_of(rsa.generate_private_key(65537, 3072)),
    "sk-ed25519": sk_line("sk-ssh-ed25519@openssh.com", base64.b64decode(ED25519.split()[1])[-32:]),
    "sk-ecdsa": sk_line(
        "sk-ecdsa-sha2-nistp256@openssh.com",
        b"nistp256",
        POINT.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    ),
}


@pytest.mark.parametrize("line", GOOD.values(), ids=GOOD.keys())
def test_good_keys_come_out_as_type_and_blob_with_openssh_s_own_fingerprint(line, tmp_path):
    read = read_key(f"  {line} somebody@laptop, with words \r\n")
    assert (read.text, read.comment) == (line, "somebody@laptop, with words")
    (tmp_path / "key.pub").write_text(line + "\n")
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[1] == read.fingerprint


def blob(line: str) -> bytes:
    return base64.b64decode(line.split()[1])


def as_line(kind: str, data: bytes) -> str:
    return f"{kind} {base64.b64encode(data).decode()}"


NEVER = {
    "options": f'command="/bin/sh" {ED25519}',
    "option without value": f"no-pty {ED25519}",
    "environment": f'environment="LD_PRELOAD=/x" {ED25519}',
    "authority": f"cert-authority {ED25519}",
    "two lines": f"{ED25519}\n{ED25519}",
    "options on a second line": f'{ED25519} me\ncommand="/bin/sh" {ED25519}',
    "carriage return": f"{ED25519} me\r{ED25519}",
    "tab": ED25519.replace(" ", "\t"),
    "zero byte": f"{ED25519} me\0",
    "escape": f"{ED25519} \x1b[2J",
    "line separator": f"{ED25519} a\u2028{ED25519}",
    "right to left": f"{ED25519} \u202e",
    "dsa": as_line("ssh-dss", word(b"ssh-dss") + word(b"\1") * 4),
    "short rsa": line_of(rsa.generate_private_key(65537, 2048)),
    "huge rsa": as_line("ssh-rsa", word(b"ssh-rsa") + word(b"\1\0\1") + word(b"\0" + b"\xff" * 2048)),
    "certificate": as_line("ssh-ed25519-cert-v01@openssh.com", blob(ED25519)),
    "type and blob differ": as_line("ssh-rsa", blob(ED25519)),
    "trailing bytes": as_line("ssh-ed25519", blob(ED25519) + b"x"),
    "cut": as_line("ssh-ed25519", blob(ED25519)[:-1]),
    "point off the curve": as_line(
        "ecdsa-sha2-nistp256",
        word(b"ecdsa-sha2-nistp256") + word(b"nistp256") + word(b"\4" + b"\1" * 64),
    ),
    "another application": sk_line("sk-ssh-ed25519@openssh.com", b"\1" * 32, app=b"other:"),
    "only the type": "ssh-ed25519",
    "no base64": "ssh-ed25519 AAAA!!!!",
    "letters of another alphabet": "ssh-ed25519 \u0410\u0410\u0410\u0410",
    "private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n",
    "too long": f"{ED25519} {'x' * MAX_KEY_CHARS}",
    "empty": "",
    "only blanks": " \n ",
}


@pytest.mark.parametrize("pasted", NEVER.values(), ids=NEVER.keys())
def test_what_is_no_plain_key_is_refused(pasted):
    with pytest.raises(BadSshKey):
        read_key(pasted)


@given(st.text(max_size=200), st.sampled_from(sorted(GOOD.values())), st.text(max_size=200))
def test_whatever_is_pasted_around_a_key_never_comes_out(before, line, after):
    try:
        read = read_key(before + line + after)
    except BadSshKey:
        return
    assert read.text == line
    assert "\n" not in read.text + read.comment


@given(st.binary(max_size=300), st.sampled_from(["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"]))
def test_no_blob_crashes_the_reader(data, kind):
    for content in (data, word(kind.encode()) + data):
        with suppress(BadSshKey):
            assert read_key(as_line(kind, content)).text == as_line(kind, content)


def test_a_private_key_is_named_as_such():
    with pytest.raises(BadSshKey, match="private key"):
        read_key(NEVER["private key"])
