"""GPU profiles. Source: specification, *Launch a GPU session*, "GPU profiles"."""

from __future__ import annotations

from dataclasses import dataclass

GPU_MS_PER_MINUTE = 60_000


@dataclass(frozen=True)
class Profile:
    """A size of session. `gpus` is also the burn rate: minutes of credit per minute of wall clock."""

    name: str
    title: str
    gpus: int
    good_for: str


PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile("small", "Small", 1, "Notebooks, analysis, light viz"),
        Profile("medium", "Medium", 2, "Multi-GPU experiments, bigger models"),
        Profile("large", "Large", 4, "Training, large simulations"),
        Profile("max", "Max", 8, "Heavy multi-GPU workloads"),
    )
}
