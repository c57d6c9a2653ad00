"""Which GPU models people can choose, and how many of each are free. Reads only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func
from sqlmodel import Session, col, select

from controller.domain.gpu_models import ANY
from controller.domain.profiles import Profile
from controller.errors import ProfileTooLarge, UnknownGpuModel
from controller.models import Gpu, Host
from controller.services.deps import Deps
from controller.services.queue import free_gpus

MAX_MODEL = 100


@dataclass(frozen=True)
class GpuModelView:
    """A model that hosts are labelled with: usable GPUs, those free now, and those of its largest host.

    Every model costs the same: `usd_per_gpu_hour_text`.
    """

    model: str
    gpus: int
    free: int
    largest: int
    usd_per_gpu_hour_text: str


def models(deps: Deps) -> list[GpuModelView]:
    """The labels of all hosts that are there, by name; a host without one is reached by any claim only."""
    query = (
        select(col(Gpu.host), func.count(), func.count().filter(_free_now()))
        .select_from(Gpu)
        .join(Host, col(Host.name) == col(Gpu.host))
        .where(col(Host.state) != "removed", col(Gpu.state) != "quarantined")
        .group_by(col(Gpu.host))
    )
    with deps.database.begin() as db:
        labels, rows = free_gpus.labels(db), db.exec(query).all()
    gpus, free, largest = Counter[str](), Counter[str](), Counter[str]()
    for host, count, free_here in rows:
        label = labels[host]
        gpus[label] += count
        free[label] += free_here
        largest[label] = max(largest[label], count)
    price = f"${deps.settings.pricing.usd_per_gpu_hour:.2f}"
    return [
        GpuModelView(label, gpus[label], free[label], largest[label], price)
        for label in sorted(gpus)
        if label != ANY
    ]


def _free_now() -> ColumnElement[bool]:
    return and_(col(Host.state) == "ready", col(Gpu.state).in_(("free", "checked")))


def check(db: Session, profile: Profile, model: str) -> None:
    """Refuse what no host could ever hold.

    Raises:
        UnknownGpuModel: no host has that model.
        ProfileTooLarge: none of them has so many GPUs.
    """
    largest = free_gpus.largest_host(db, model)
    if largest == 0 and model != ANY:
        raise UnknownGpuModel(gpu_model=model[:MAX_MODEL])
    if largest < profile.gpus:
        raise ProfileTooLarge(too_large(profile, largest, model), profile=profile.name)


def too_large(profile: Profile, largest: int, model: str = ANY) -> str:
    """Why no host holds the profile, given how many GPUs the largest one has."""
    if model != ANY:
        return (
            f"{profile.title} needs {profile.gpus} GPUs on one host; the largest with {model} has {largest}."
        )
    if largest == 0:
        return "No GPU host is registered with this platform yet."
    return f"{profile.title} needs {profile.gpus} GPUs on one host; the largest host has {largest}."
