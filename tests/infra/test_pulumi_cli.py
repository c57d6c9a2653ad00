import os
import tarfile

import pytest

from infra import plugins, pulumi_cli
from infra.errors import CliUnavailable

PROGRAM = "#!/bin/sh\necho v{version}\n"


def archive(folder, name="pulumi/pulumi", version="3.259.0"):
    program = folder / "program"
    program.write_text(PROGRAM.format(version=version))
    program.chmod(0o755)
    made = folder / "pulumi.tar.gz"
    with tarfile.open(made, "w:gz") as tar:
        tar.add(program, name)
    return made


@pytest.fixture
def no_way_out(monkeypatch, tmp_path):
    """Nothing on PATH, no installer; a build would be an error of the test."""
    monkeypatch.setattr(pulumi_cli.shutil, "which", lambda _: None)
    monkeypatch.setattr(pulumi_cli, "_install", lambda _: False)
    monkeypatch.delenv(pulumi_cli.ARCHIVE_VARIABLE, raising=False)
    built = []

    def build(target, _report, _stop):
        built.append(target)
        target.write_text(PROGRAM.format(version="3.259.0"))
        target.chmod(0o755)

    monkeypatch.setattr(pulumi_cli.pulumi_build, "build", build)
    return built


def test_an_archive_is_unpacked_once(no_way_out, monkeypatch, tmp_path):
    monkeypatch.setenv(pulumi_cli.ARCHIVE_VARIABLE, str(archive(tmp_path)))
    told = []
    path = pulumi_cli.ensure_cli(tmp_path / "tools", told.append)
    assert os.access(path, os.X_OK)
    assert "unpacked" in told[-1]
    monkeypatch.delenv(pulumi_cli.ARCHIVE_VARIABLE)
    assert pulumi_cli.ensure_cli(tmp_path / "tools", told.append) == path
    assert "there already" in told[-1]
    assert no_way_out == []


def test_without_anything_else_it_is_built(no_way_out, tmp_path):
    told = []
    path = pulumi_cli.ensure_cli(tmp_path / "tools", told.append)
    assert no_way_out == [path]
    assert told[-1] == "Pulumi CLI: built from its published module"


def test_one_on_path_is_taken_unless_it_is_too_old(no_way_out, monkeypatch, tmp_path):
    program = tmp_path / "pulumi"
    monkeypatch.setattr(pulumi_cli.shutil, "which", lambda _: str(program))
    program.write_text(PROGRAM.format(version="3.200.1"))
    program.chmod(0o755)
    assert pulumi_cli.ensure_cli(tmp_path / "tools", lambda _: None) == program
    program.write_text(PROGRAM.format(version="3.100.0"))
    assert pulumi_cli.ensure_cli(tmp_path / "tools", lambda _: None) != program


@pytest.mark.parametrize(("name", "words"), [("other", "no file named pulumi"), (None, "cannot be read")])
def test_a_wrong_archive_is_refused(no_way_out, monkeypatch, tmp_path, name, words):
    made = archive(tmp_path, name) if name else tmp_path / "missing.tar"
    monkeypatch.setenv(pulumi_cli.ARCHIVE_VARIABLE, str(made))
    with pytest.raises(CliUnavailable, match=words):
        pulumi_cli.ensure_cli(tmp_path / "tools", lambda _: None)


def test_the_docker_plugin_is_tried_once_and_remembered(tmp_path, monkeypatch):
    tried = []

    def download(*_):
        tried.append(1)
        return False

    monkeypatch.setattr(plugins, "_download", download)
    told = []
    for _ in range(2):
        folder = plugins.provide(tmp_path, tmp_path / "pulumi", {}, told.append)
    assert len(tried) == 1
    assert told[-1] == "Pulumi's Docker provider: the bundled one"
    assert "infra.providers.docker_provider" in (folder / "pulumi-resource-docker").read_text()
    assert os.access(folder / "pulumi-resource-pulumi-python", os.X_OK)


def test_where_the_official_plugin_can_be_had_ours_steps_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_download", lambda *_: False)
    plugins.provide(tmp_path, tmp_path / "pulumi", {}, lambda _: None)
    (tmp_path / "docker-provider.json").unlink()
    monkeypatch.setattr(plugins, "_download", lambda *_: True)
    folder = plugins.provide(tmp_path, tmp_path / "pulumi", {}, lambda _: None)
    assert not (folder / "pulumi-resource-docker").exists()
