"""Who takes part: watchers as two workers run them, payer and stranger who paste hashes, and the weather.

Each has its own database connections and chain reader, as a process of its own would; one that is killed is
started again at once, with nothing kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from controller.errors import AxonosError, Unavailable
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from deposits.chain import Sent, address
from deposits.scene import Case, Mode, Play, watch_all
from deposits.schedule import Killed, Planned

TRIES = 25
STRANGER = "mallory"


def weather(case: Case, mode: Mode, rng: random.Random) -> list[Planned]:
    """What goes wrong besides the story itself, if anything."""
    if not case.weather or rng.random() < 0.45:
        return []
    actors = {"watcher": ["watcher-1", "watcher-2"], "hint": ["payer", "stranger"]}
    names = actors.get(mode) or [*actors["watcher"], *actors["hint"]]
    faults: list[Any] = ["kill", "kill", "cut", "cut after"]
    planned = [
        Planned(rng.choice(names), int(rng.expovariate(1 / 60)) + 1, rng.choice(faults))
        for _ in range(rng.choice([1, 1, 2]))
    ]
    return list({(p.actor, p.at_step): p for p in planned}.values())


def cast(played: Play) -> None:
    """Who plays, by the case's mode."""
    add = played.scheduler.add
    if played.mode in {"watcher", "race"}:
        for number in (1, 2):
            add(f"watcher-{number}", lambda n=number: _process(played, f"watcher-{n}", _watch))
    if played.mode in {"hint", "race"}:
        for who, wallet in (("payer", None), ("stranger", STRANGER)):
            add(who, lambda who=who, wallet=wallet: _process(played, who, _paste(wallet)))
    for number in range(played.case.claims):
        who = f"claim-{number}"
        add(who, lambda who=who: _process(played, who, _paste(None, tries=2)))


def tell(played: Play) -> None:
    for label in played.case.story(played):
        played.scheduler.step(label)
    played.finished = True
    played.scheduler.stir()


def _process(played: Play, who: str, body: Callable[[Play, Deps, str], None]) -> None:
    """A process: started again, with nothing kept, whenever it was killed."""
    while True:
        try:
            body(played, played.deps(who), who)
        except Killed:
            played.scheduler.born_again()
        else:
            return


def _watch(played: Play, deps: Deps, _: str) -> None:
    for _try in range(TRIES * 4):
        last_look = played.finished
        try:
            done = watch_all(deps)
        except Unavailable:
            continue
        if done == 0 and last_look:
            return
        if done == 0:
            played.scheduler.idle()


def _paste(wallet: str | None, tries: int = TRIES) -> Callable[[Play, Deps, str], None]:
    """Somebody who pastes every hash that is known, now and then, and once more when all is told."""

    def body(played: Play, deps: Deps, who: str) -> None:
        rng = random.Random(f"paste {played.case.name}:{played.seed}:{who}")
        for _try in range(tries):
            last_look = played.finished
            answers = [
                _hint(played, deps, who, wallet or name.split("/")[0], sent)
                for name, sent in list(played.sent.items())
            ]
            if last_look and all(answers):
                return
            for _wait in range(rng.choice([0, 1, 1, 2, 3])):
                if not played.finished:
                    played.scheduler.idle()

    return body


def _hint(played: Play, deps: Deps, who: str, wallet: str, sent: Sent) -> bool:
    """Paste one hash; whether there was an answer that another try would not change."""
    shapes = (sent.tx_hash, sent.tx_hash.upper().replace("X", "x"), sent.tx_hash[2:])
    pasted = shapes[len(played.told) % 3]
    try:
        view = deposits.hint(deps, address(wallet), pasted)
    except AxonosError as error:
        played.told.append((who, sent.tx_hash, error.code, error))
        return not isinstance(error, Unavailable)
    played.told.append((who, sent.tx_hash, view.state, view))
    return True
