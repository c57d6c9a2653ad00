from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import collection_kit  # noqa: F401
import pytest
from ansible_collections.axonos.platform.plugins.module_utils.service import Service, answers, last_words
from ansible_collections.axonos.platform.plugins.module_utils.supervisor import Supervisor
from ansible_collections.axonos.platform.plugins.module_utils.systemd import Systemd

WEB = {
    "name": "web",
    "command": ["/bin/gunicorn", "app:wsgi()", "100% of it"],
    "user": "axonos",
    "environment": {"AXONOS_CONFIG": "/x/axonos.toml"},
    "inputs": "abc",
    "stop_s": "30",
}


def parsed(**changes) -> Service:
    return Service.parse({**WEB, **changes}, "blue")


def test_the_digest_follows_the_definition_and_its_inputs_but_not_a_restart() -> None:
    assert parsed().digest == parsed().digest == parsed(restart=True).digest
    assert len({parsed().digest, parsed(inputs="def").digest, parsed(user="root").digest}) == 3
    assert parsed(restart="True").restart


def test_supervisord_reads_back_the_very_words(tmp_path: Path) -> None:
    text = Supervisor("blue", tmp_path, tmp_path, tmp_path, "supervisord").text(parsed())
    read = configparser.RawConfigParser()
    read.read_string(text)
    section = read["program:web"]
    assert section["command"] == '/bin/gunicorn "app:wsgi()" "100%% of it"'
    assert 'AXONOS_INSTANCE="blue"' in section["environment"]
    assert section["stopwaitsecs"] == "30"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "axonos-web.service"
    unit.write_text(
        Systemd("axonos", tmp_path).text(parsed(command=["/bin/sleep", "100% of it"], user="root"))
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert "axonos-web" not in done.stderr, done.stderr
    assert 'ExecStart=/bin/sleep "100%% of it"' in unit.read_text()


def test_a_program_that_fails_again_and_again_says_so_once() -> None:
    assert last_words("no port\nno port\n\nno port\n") == "no port"
    assert last_words("") == "nothing"


def test_a_port_nobody_listens_on_does_not_answer(tmp_path: Path) -> None:
    assert not answers(f"unix:{tmp_path}/none.sock")
    assert answers("")
