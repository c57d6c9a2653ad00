"""The Ed25519 keys of tickets: only the platform's own key makes a ticket that checks."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from controller.adapters.tickets import Ed25519Tickets, load_verifier
from controller.errors import SettingsInvalid


def write_keys(folder, key):
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_own_signature_verifies_and_nothing_else(tmp_path):
    private, public = write_keys(tmp_path, Ed25519PrivateKey.generate())
    verify = load_verifier(public)
    signature = Ed25519Tickets(private).sign(b"payload")
    assert verify(b"payload", signature)
    assert not verify(b"payloae", signature)
    assert not verify(b"payload", b"")
    assert not verify(b"payload", Ed25519PrivateKey.generate().sign(b"payload"))


def test_missing_or_foreign_keys_stop_the_start(tmp_path):
    private, public = write_keys(tmp_path, generate_private_key(SECP256R1()))
    for load, path in ((Ed25519Tickets, private), (load_verifier, public)):
        with pytest.raises(SettingsInvalid, match="Ed25519"):
            load(path)
        with pytest.raises(SettingsInvalid, match="missing"):
            load(tmp_path / "missing.pem")
