"""Which GPUs of this machine share an NVLink or a PCIe switch, from the matrix of `nvidia-smi topo -m`.

Pure. A session gets GPUs of one island where it can; what is not understood leaves the islands unknown.
Source: nvidia-smi(1), `topo`: NV# is NVLink, PIX and PXB are PCIe switches without a host bridge between.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_NVLINK = re.compile(r"NV\d+")
_SWITCH = re.compile(r"PIX|PXB")


def islands(matrix: str, count: int) -> list[str | None]:
    """The island of each GPU, by index; None for all where the matrix names none.

    Args:
        matrix: what `nvidia-smi topo -m` printed.
        count: how many GPUs there are.
    """
    links = _links(matrix, count)
    for kind in (_NVLINK, _SWITCH):
        groups = _groups(links, kind, count) if links else []
        if any(group != index for index, group in enumerate(groups)):
            return [f"island-{group}" for group in groups]
    return [None] * count


def _links(matrix: str, count: int) -> list[list[str]]:
    """The words between each two GPUs; empty where a row is missing or short."""
    rows: dict[int, list[str]] = {}
    for line in _ESCAPE.sub("", matrix).splitlines():
        words = line.split()
        if words and (row := re.fullmatch(r"GPU(\d+)", words[0])) and len(words) > count:
            rows[int(row[1])] = words[1 : count + 1]
    whole = all(rows.get(index, [])[index : index + 1] == ["X"] for index in range(count))
    return [rows[index] for index in range(count)] if whole else []


def _groups(links: list[list[str]], kind: re.Pattern[str], count: int) -> list[int]:
    """For each GPU the lowest index that it reaches by links of a kind."""
    group = list(range(count))
    for one in range(count):
        for other in range(count):
            if kind.fullmatch(links[one][other]):
                low, high = sorted((group[one], group[other]))
                group = [low if member == high else member for member in group]
    return group
