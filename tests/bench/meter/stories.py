"""What people and containers do during the simulated day, decided by a seed alone. Knows nothing of the product."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
BEGAN_MS = 1_800_000_000_000  # epoch milliseconds at which the day begins
RECONNECT_MS, ABSENCE_MS = 45 * SECOND, 180 * SECOND

# What a person does at an instant: (ms since the day began, verb, amount in GPU-ms for a credit).
Act = tuple[int, str, int]


@dataclass
class Story:
    """One session: who pays, from when on, and everything that happens to it."""

    number: int
    gpus: int
    host: int
    ready_ms: int
    balance_gpu_ms: int
    dies_ms: int | None = None
    acts: list[Act] = field(default_factory=list)

    @property
    def wallet(self) -> str:
        return f"0x{self.number + 0xA000_0000:040x}"

    @property
    def session(self) -> str:
        return f"session-{self.number}"

    @property
    def slot(self) -> str:
        return f"s-{self.number:012x}"


def stories(count: int, hosts: int, length_ms: int, seed: int) -> list[Story]:
    """So many sessions, all ready in the first twelfth of the day."""
    rng = random.Random(seed)
    return [_story(rng, number, number % hosts, length_ms) for number in range(count)]


def _story(rng: random.Random, number: int, host: int, length_ms: int) -> Story:
    gpus = rng.choices((1, 2, 4, 8), (60, 22, 12, 6))[0]
    ready = rng.randrange(SECOND, max(2 * SECOND, length_ms // 12))
    poor = rng.random() < 0.35
    wall = rng.randrange(2 * MINUTE, length_ms * 2 // 3) if poor else 20 * length_ms
    story = Story(number, gpus, host, ready, wall * gpus + rng.randrange(gpus))
    at = ready + rng.randrange(5 * SECOND, 90 * SECOND)
    for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
        at = _watched(rng, story, at)
    story.acts.append((at, "detach", 0))
    _paid(rng, story, ready + wall, poor=poor)
    _over(rng, story, at, length_ms)
    story.acts.sort()
    return story


def _watched(rng: random.Random, story: Story, at: int) -> int:
    """A while in front of the desktop: beats, a reload or two, then left running."""
    story.acts.append((at, "attach", 0))
    for _ in range(rng.randrange(1, 4)):
        at += rng.randrange(5 * SECOND, ABSENCE_MS - SECOND)
        if rng.random() < 0.3:
            story.acts.append((at, "close", 0))
            at += rng.randrange(3 * SECOND, RECONNECT_MS - SECOND)
            story.acts.append((at, rng.choice(("attach", "beat")), 0))
        else:
            story.acts.append((at, "beat", 0))
    at += rng.randrange(SECOND, 60 * SECOND)
    story.acts.append((at, "detach", 0))
    return at + rng.randrange(MINUTE, 40 * MINUTE)


def _paid(rng: random.Random, story: Story, empty_ms: int, *, poor: bool) -> None:
    """Deposits: before the balance is used up, at that very instant, in grace, or too late."""
    if not poor:
        return
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        near = rng.choice((-20 * MINUTE, -1, 0, 1, 30 * SECOND, 20 * MINUTE, 110 * MINUTE, 150 * MINUTE))
        at = max(story.ready_ms + 1, empty_ms + near + rng.randrange(2))
        kind, most = rng.choice((("credit", 90 * MINUTE), ("gift", 9 * MINUTE)))
        amount = rng.randrange(1, most) * story.gpus + rng.randrange(story.gpus)
        # An operator's gift is credit, but no deposit: grace does not come again for it.
        story.acts.append((at, kind, amount))


def _over(rng: random.Random, story: Story, after_ms: int, length_ms: int) -> None:
    """How it ends, if the day sees its end at all."""
    at = rng.randrange(after_ms + 10 * SECOND, after_ms + 2 * length_ms)
    how = rng.random()
    if how < 0.30:
        story.acts.append((at, "end", 0))
    elif how < 0.45:
        story.acts += [(at, "attach", 0), (at + rng.randrange(SECOND, ABSENCE_MS), "close", 0)]
    elif how < 0.55:
        story.acts.append((at, "attach", 0))  # and nobody is ever seen again
    elif how < 0.65:
        story.dies_ms = at
