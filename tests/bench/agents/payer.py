"""Agents of the bench: they sign transfers of USDC and send them, as a client of version 2 does."""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from chainkit import Chain
from eth_account import Account
from eth_account.signers.local import LocalAccount

TYPES = {
    "TransferWithAuthorization": [
        {"name": name, "type": kind}
        for name, kind in (
            ("from", "address"),
            ("to", "address"),
            ("value", "uint256"),
            ("validAfter", "uint256"),
            ("validBefore", "uint256"),
            ("nonce", "bytes32"),
        )
    ]
}


@dataclass(frozen=True)
class Payer:
    """One wallet with USDC and no ETH."""

    account: LocalAccount

    def header(self, required: dict[str, Any]) -> str:
        """What pays the cheapest entry of a 402."""
        chosen = required["accepts"][0]
        nonce, end_s = secrets.token_bytes(32), int(time.time()) + chosen["maxTimeoutSeconds"]
        words = {"from": self.account.address, "to": chosen["payTo"], "value": int(chosen["amount"])}
        message = {**words, "validAfter": 0, "validBefore": end_s, "nonce": nonce}
        domain = {
            **chosen["extra"],
            "chainId": int(chosen["network"].split(":")[1]),
            "verifyingContract": chosen["asset"],
        }
        signed = self.account.sign_typed_data(domain, TYPES, message)
        told = {name: str(value) for name, value in message.items()} | {"nonce": "0x" + nonce.hex()}
        inner = {"signature": signed.signature.to_0x_hex(), "authorization": told}
        payload = {"x402Version": 2, "accepted": chosen, "payload": inner}
        return base64.b64encode(json.dumps(payload).encode()).decode()


def payers(chain: Chain, count: int, usdc: int) -> list[Payer]:
    """Wallets with so much USDC each, minted in one block."""
    made = [Payer(Account.create()) for _ in range(count)]
    with chain.paused_mining():
        for one in made:
            chain.mint_usdc(one.account.address, usdc)
        chain.rpc("evm_mine")
    return made
