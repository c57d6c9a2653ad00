"""`axonos-host ACTION`: a JSON object on stdin, one on stdout. As root, once per request.

`home-send` writes a stream instead; `home-receive` and `image-load` read one after the line
that holds their object.

It is the privilege boundary of a GPU host: the platform's own user may run this program through sudo, and
nothing else. Modules are imported by the action that needs them: a start is counted in milliseconds.
"""

from __future__ import annotations

import errno
import gc
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from controller.host.config import ConfigInvalid, HostConfig, default_path, load
from controller.host.words import HostRefused

MAX_INPUT = 65_536
USAGE = "usage: axonos-host {%s} [--config FILE] < request.json"
SENDS = "home-send"
TAKES = ("home-receive", "image-load")  # what they take follows the line that holds their object


def main() -> int:
    """Returns 0 if the answer is ok, 1 if it is a refusal, 2 if the program was called wrongly."""
    gc.disable()  # imports make most of a short process; nothing here lives in cycles
    arguments = sys.argv[1:]
    if (
        len(arguments) not in (1, 3)
        or arguments[0] not in _ACTIONS
        or arguments[1:2] not in ([], ["--config"])
    ):
        sys.stderr.write(USAGE % "|".join(_ACTIONS) + "\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _interrupted)
    action = arguments[0]
    try:
        answer = _ACTIONS[action](_read(action), Path(arguments[2]) if arguments[2:] else None)
    except HostRefused as refused:
        answer = refused.answer()
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        answer = HostRefused("disk_full" if full else "docker_error", str(error)[:300]).answer()
    if action == SENDS:
        _end_stream(answer)
    else:
        sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer["ok"] else 1


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise HostRefused("timeout", "the run was interrupted")


def _end_stream(answer: dict[str, Any]) -> None:
    """A refusal goes the home's way: who reads standard output there expects nothing else."""
    from controller.host.home_stream import Writer  # noqa: PLC0415

    with suppress(OSError):
        if not answer["ok"]:
            Writer(sys.stdout.buffer).end(answer)


def _read(action: str) -> Any:
    take = sys.stdin.buffer.readline if action in TAKES else sys.stdin.buffer.read
    data = take(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise HostRefused("bad_input", "the request is too large")
    try:
        return json.loads(data)
    except ValueError as error:
        raise HostRefused("bad_input", "the request is no JSON") from error


def _config(path: Path | None, instance: str) -> HostConfig:
    try:
        config = load(path or default_path(instance), trusted=True)
    except ConfigInvalid as error:
        raise HostRefused("bad_input", str(error)) from error
    if config.instance != instance:
        raise HostRefused("bad_input", f"this host belongs to instance {config.instance}")
    return config


def _start(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host.request import parse_start  # noqa: PLC0415
    from controller.host.start import start  # noqa: PLC0415

    request = parse_start(data)
    return start(_config(path, request.instance), request)


def _stop(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host.request import parse_stop  # noqa: PLC0415
    from controller.host.stop import stop  # noqa: PLC0415

    request = parse_stop(data)
    return stop(_config(path, request.instance), request)


def _probe(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host.probe import probe  # noqa: PLC0415
    from controller.host.request import parse_probe  # noqa: PLC0415

    return probe(_config(path, parse_probe(data).instance))


def _check(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import gpus  # noqa: PLC0415
    from controller.host.request import parse_check  # noqa: PLC0415

    request = parse_check(data)
    checks = gpus.check(
        _config(path, request.instance),
        request.gpus,
        simulated=request.simulated,
        since_ms=request.gpus_since_ms,
    )
    return {"ok": True, "gpu_checks": checks}


def _home_list(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import home_request, home_transfer  # noqa: PLC0415

    request = home_request.parse_list(data)
    return home_transfer.list_(_config(path, request.instance), request)


def _home_send(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import home_request, home_transfer  # noqa: PLC0415

    request = home_request.parse_send(data)
    home_transfer.send(_config(path, request.instance), request, sys.stdout.buffer)
    return {"ok": True}


def _home_receive(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import home_request, home_transfer  # noqa: PLC0415

    request = home_request.parse_receive(data)
    return home_transfer.receive(_config(path, request.instance), request, sys.stdin.buffer)


def _home_forget(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import home_request, home_transfer  # noqa: PLC0415

    request = home_request.parse_forget(data)
    return home_transfer.forget(_config(path, request.instance), request)


def _image_load(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import image_load  # noqa: PLC0415

    request = image_load.parse(data)
    return image_load.load(_config(path, request.instance), request, sys.stdin.buffer)


def _walls(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import walls  # noqa: PLC0415

    request = walls.parse(data)
    return walls.settle(_config(path, request.instance), request)


def _home_change(data: Any, path: Path | None) -> dict[str, Any]:
    from controller.host import home_change, home_request  # noqa: PLC0415

    request = home_request.parse_change(data)
    return home_change.change(_config(path, request.instance), request)


_ACTIONS = {
    "start": _start,
    "stop": _stop,
    "probe": _probe,
    "check": _check,
    "home-list": _home_list,
    "home-send": _home_send,
    "home-receive": _home_receive,
    "home-forget": _home_forget,
    "image-load": _image_load,
    "walls": _walls,
    "home-change": _home_change,
}

if __name__ == "__main__":
    sys.exit(main())
