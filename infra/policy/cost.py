"""What a plan costs a month, and the cap. Pure; integers of millionths of a dollar.

Prices are AWS's list prices on demand, Linux, us-east-1, as known at the table's date: an upper bound for the
budget, no bill. An operator's own prices come first. A type without a price is refused where there is a cap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.policy.planned import INSTANCE, UNKNOWN, VOLUME, Planned, Policy, Violation, staying

HOURS_OF_MONTH = 730
MICRO = 1_000_000
# 2025-06; millionths of a dollar an hour.
HOUR_MICRO_USD: Mapping[str, int] = {
    "g4dn.xlarge": 526_000,
    "g4dn.2xlarge": 752_000,
    "g4dn.12xlarge": 3_912_000,
    "g4dn.metal": 7_824_000,
    "g5.xlarge": 1_006_000,
    "g5.12xlarge": 5_672_000,
    "g5.48xlarge": 16_288_000,
    "g6.xlarge": 804_800,
    "g6.12xlarge": 4_601_600,
    "g6.48xlarge": 13_350_400,
    "g6e.xlarge": 1_861_000,
    "g6e.12xlarge": 10_492_600,
    "g6e.48xlarge": 30_131_200,
    "p4d.24xlarge": 32_772_600,
    "p5.48xlarge": 98_320_000,
    "t3.micro": 10_400,
    "t3.medium": 41_600,
    "m6i.large": 96_000,
}
GIB_MONTH_MICRO_USD: Mapping[str, int] = {
    "gp3": 80_000,
    "gp2": 100_000,
    "io1": 125_000,
    "io2": 125_000,
    "st1": 45_000,
    "sc1": 15_000,
}


def over_budget(plan: list[Planned], policy: Policy) -> Iterator[Violation]:
    """The whole plan over the cap, or a part of it that cannot be priced."""
    cap = policy.monthly_cap_usd
    if cap is None:
        return
    costs = [(planned, month_micro_usd(planned, policy)) for planned in staying(plan, INSTANCE, VOLUME)]
    for planned, cost in costs:
        if cost is None:
            yield Violation("cost", planned.name, _unpriced(planned))
    whole = sum(cost or 0 for _, cost in costs)
    if whole > cap * MICRO:
        yield Violation("cost", "the stack", f"costs {_usd(whole)} a month, the cap is ${cap}")


def month_micro_usd(planned: Planned, policy: Policy) -> int | None:
    """What one resource costs a month of 730 hours; None where no price is known."""
    if planned.type == INSTANCE:
        return _instance(planned, policy)
    return _disk(planned.inputs)


def _instance(planned: Planned, policy: Policy) -> int | None:
    kind = planned.inputs.get("instanceType")
    hour = {**HOUR_MICRO_USD, **policy.prices_micro_usd}.get(str(kind))
    root = _disk(planned.inputs.get("rootBlockDevice") or {"size": 0})
    return None if hour is None or root is None else hour * HOURS_OF_MONTH + root


def _disk(inputs: Mapping[str, object]) -> int | None:
    size = inputs.get("size", inputs.get("volumeSize", 0))
    gib = GIB_MONTH_MICRO_USD.get(str(inputs.get("type") or inputs.get("volumeType") or "gp2"))
    if gib is None or size == UNKNOWN:
        return None
    return gib * int(float(str(size)))


def _unpriced(planned: Planned) -> str:
    kind = planned.inputs.get("instanceType") or planned.inputs.get("type")
    return f"no price is known for {kind}: give one in [policy.prices_usd_per_hour]"


def _usd(micro: int) -> str:
    return f"${-(-micro // MICRO)}"
