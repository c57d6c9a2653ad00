"""Everything in the cloud says whose it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.policy.planned import GROUP, INSTANCE, VOLUME, Planned, Policy, Violation, staying

KEY_PAIR = "aws:ec2/keyPair:KeyPair"
TAGGABLE = (INSTANCE, VOLUME, GROUP, KEY_PAIR)


def missing_tags(plan: list[Planned], policy: Policy) -> Iterator[Violation]:
    """Resources without one of the stack's tags: nobody would find them again, or know who pays for them."""
    for planned in staying(plan, *TAGGABLE):
        tags = planned.inputs.get("tags") or {}
        missing = [name for name in policy.tags if not tags.get(name)]
        if missing:
            yield Violation("tags", planned.name, f"lacks the tags {', '.join(missing)}")
