"""Which GPUs are free, by host, with waiting desktops, islands and the host's label. Reads only."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import func
from sqlmodel import Session, col, select

from controller.domain.gpu_models import ANY, host_label, suits
from controller.domain.placement import FreeHost
from controller.models import Gpu, Host
from controller.services.deps import Deps
from controller.services.pool import waiting as pool


def largest_host(db: Session, model: str = ANY) -> int:
    """How many usable GPUs the largest host has that suits the model; free or not."""
    query = (
        select(col(Gpu.host), func.count())
        .select_from(Gpu)
        .join(Host, col(Host.name) == col(Gpu.host))
        .where(col(Host.state) != "removed", col(Gpu.state) != "quarantined")
        .group_by(col(Gpu.host))
    )
    known = {} if model == ANY else labels(db)
    return max((gpus for host, gpus in db.exec(query) if suits(model, known.get(host, ANY))), default=0)


def labels(db: Session) -> dict[str, str]:
    """The label of each host: the model that all of its GPUs share, empty where there is none."""
    query = select(col(Gpu.host), func.array_agg(func.distinct(col(Gpu.model)))).group_by(col(Gpu.host))
    return {host: host_label(models) for host, models in db.exec(query)}


def free_hosts(deps: Deps, db: Session) -> list[FreeHost]:
    """Hosts that take sessions, with their free GPUs in order of their numbers."""
    query = (
        select(col(Gpu.host), col(Gpu.uuid))
        .join(Host, col(Host.name) == col(Gpu.host))
        .where(Host.state == "ready", Gpu.state == "free")
        .order_by(col(Gpu.host), col(Gpu.index))
    )
    free: dict[str, list[str]] = defaultdict(list)
    for host, uuid in db.exec(query):
        free[host].append(uuid)
    warm, islands, models = pool.usable(deps, db), _islands(db), labels(db)
    return [
        FreeHost(host, tuple(uuids), tuple(warm.get(host, ())), islands.get(host, ()), models[host])
        for host, uuids in free.items()
    ]


def _islands(db: Session) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Groups of GPUs, by host, that share an NVLink or PCIe switch, where that is known."""
    query = select(col(Gpu.host), col(Gpu.island), col(Gpu.uuid)).where(col(Gpu.island).is_not(None))
    found: dict[str, dict[str | None, list[str]]] = defaultdict(lambda: defaultdict(list))
    for host, island, uuid in db.exec(query.order_by(col(Gpu.host), col(Gpu.index))):
        found[host][island].append(uuid)
    return {host: tuple(map(tuple, some.values())) for host, some in found.items()}
