from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed
from install_kit import things

pytestmark = pytest.mark.integration


def entries(root: Path) -> list[dict]:
    return [
        {"path": f"{root}/secrets", "directory": True, "mode": "0711"},
        {"path": f"{root}/secrets/token", "generate": "token", "mode": "0400"},
        {
            "path": f"{root}/secrets/key.pem",
            "generate": "ed25519",
            "public": f"{root}/key.pub",
            "mode": "0400",
        },
        {"path": f"{root}/etc/rule", "content": "allow\n", "mode": "0440"},
        {"path": f"{root}/old", "absent": True},
    ]


def test_a_list_converges_once_and_names_what_it_made(converge, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    foretold = things(converge("files", check=True, entries=entries(tmp_path)))
    assert not (tmp_path / "secrets").exists()
    made = things(converge("files", entries=entries(tmp_path)))
    assert (
        made
        == foretold
        == [
            f"{tmp_path}/secrets: missing",
            f"{tmp_path}/secrets/token: secret missing",
            f"{tmp_path}/secrets/key.pem: secret missing",
            f"{tmp_path}/etc/rule: missing",
            f"{tmp_path}/old: removed",
        ]
    )
    assert things(converge("files", entries=entries(tmp_path))) == []
    assert (tmp_path / "secrets" / "token").stat().st_mode & 0o777 == 0o400


def test_drift_is_named_and_mended_and_secrets_stay(converge, tmp_path: Path) -> None:
    converge("files", entries=entries(tmp_path))
    secret = (tmp_path / "secrets" / "token").read_text()
    (tmp_path / "etc" / "rule").write_text("allow\nallow more\n")
    (tmp_path / "secrets" / "token").chmod(0o644)
    answer = converge("files", entries=entries(tmp_path))
    assert things(answer) == [
        f"{tmp_path}/secrets/token: mode 0644, not 0400",
        f"{tmp_path}/etc/rule: content differs",
    ]
    assert (tmp_path / "etc" / "rule").read_text() == "allow\n"
    assert (tmp_path / "secrets" / "token").read_text() == secret
    assert secret.strip() not in str(answer)


def test_a_lost_public_key_is_made_again_from_the_private_one(converge, tmp_path: Path) -> None:
    converge("files", entries=entries(tmp_path))
    public, private = tmp_path / "key.pub", (tmp_path / "secrets" / "key.pem").read_text()
    before = public.read_text()
    public.unlink()
    converge("files", entries=entries(tmp_path))
    assert public.read_text() == before
    assert (tmp_path / "secrets" / "key.pem").read_text() == private


def test_a_file_that_its_program_refuses_does_not_replace_the_old_one(converge, tmp_path: Path) -> None:
    rule = tmp_path / "rule"
    rule.write_text("good\n")
    with pytest.raises(CommandFailed, match="rule"):
        converge("files", entries=[{"path": str(rule), "content": "bad\n", "validate": "grep -q good %s"}])
    assert rule.read_text() == "good\n"
    assert [path.name for path in tmp_path.iterdir()] == ["rule"]


def test_removing_stops_before_a_mount_and_before_somebody_elses_file(converge, tmp_path: Path) -> None:
    mount, theirs = tmp_path / "run" / "slot", tmp_path / "theirs"
    mount.mkdir(parents=True)
    theirs.write_text("their own\n")
    subprocess.run(["mount", "-t", "tmpfs", "none", mount], check=True)
    try:
        with pytest.raises(CommandFailed, match="still mounted"):
            converge("files", entries=[{"path": str(tmp_path / "run"), "absent": True}])
    finally:
        subprocess.run(["umount", mount], check=True)
    converge("files", entries=[{"path": str(theirs), "absent": True, "only_with": "Written by us"}])
    assert theirs.exists()
