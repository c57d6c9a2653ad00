"""A chain reader on a real chain: settings that fit the contracts of `chainkit`, and readers that are closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from chainkit import Chain
from fakes import make_settings

from controller.adapters.chain import Web3Chain
from controller.services.ports import Block, BlockMoney
from controller.settings import Settings


def settings_for(served: Chain, **sections: Any) -> Settings:
    """All rails of a chain's contracts; `chain={"trace": "off"}` changes single values of a section."""
    where = served.deployment
    base: dict[str, dict[str, Any]] = {
        "chain": {
            "chain_id": where.chain_id,
            "rpc_urls": [where.rpc_url],
            "genesis_hash": where.genesis_hash,
            "revenue_wallet": where.revenue_wallet,
            "start_block": where.start_block,
        },
        "eth": {"usd_feed": where.eth_usd_feed},
        "axgt": {
            "contract": where.axgt,
            "enabled": True,
            "pool": where.axgt_pool,
            "second_feed": where.axgt_usd_feed,
        },
        "usdc": {"contract": where.usdc, "usd_feed": where.usdc_usd_feed},
    }
    return make_settings(**{name: {**base[name], **sections.get(name, {})} for name in base})


@contextmanager
def reading(served: Chain, **sections: Any) -> Iterator[Web3Chain]:
    """A reader of that chain."""
    with closing(Web3Chain(settings_for(served, **sections))) as reader:
        yield reader


def read(reader: Web3Chain, first: int, last: int | None = None) -> list[tuple[Block, BlockMoney]]:
    """What a reader yields after block `first`, up to the head or block `last`."""
    head = reader.head()
    to = head if last is None else reader.block(last)
    return list(reader.read_on(reader.block(first), to))
