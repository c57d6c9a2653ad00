"""Asks contract wallets on chain whether a signature is theirs: EIP-1271, and EIP-6492 before they exist.

A contract's "no" and a node's fault are told apart: only the contract can refuse. Nothing is sent; the
EIP-6492 validator runs inside one `eth_call` and leaves no trace.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from eth_abi.abi import encode
from siwe.siwe import EIP6492_MAGIC_SUFFIX, EIP6492_VALIDATOR_BYTECODE

from controller.errors import ChainUnavailable

log = logging.getLogger(__name__)
MAGIC = "0x1626ba7e"
VALID = 1
# How nodes say that the contract, and not they, came to no answer.
CONTRACTS_FAULT = re.compile(r"revert|opcode|out ?of ?gas|jump|stack|EVM error", re.IGNORECASE)


class ContractRefuses(ValueError):
    """The call ended in the contract; another node would say the same."""


class ContractWallets:
    """The contract wallets of each configured chain; opens a connection a question."""

    def __init__(self, nodes: Mapping[int, Sequence[str]], *, timeout_s: float = 5) -> None:
        """Args: node addresses by chain id, best first; seconds for one answer."""
        self._nodes, self._timeout_s = nodes, timeout_s

    def accept(self, wallet: str, digest: bytes, signature: str, chain_id: int) -> bool:
        """Whether the wallet's contract takes the signature for its own.

        Args:
            wallet: its address.
            digest: what was signed, hashed, 32 bytes.
            signature: hex with 0x, of any length; a bare `0x` where the contract keeps it on chain.
            chain_id: where the contract is, or would be made.

        Raises:
            ChainUnavailable: no node of that chain answers.
        """
        try:
            signed = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError:
            return False
        counterfactual = signature.endswith(EIP6492_MAGIC_SUFFIX)
        call = _validation(wallet, digest, signed) if counterfactual else _question(wallet, digest, signed)
        try:
            answer = self._call(chain_id, call)
        except ContractRefuses:
            return False
        if counterfactual:
            return answer.startswith("0x") and len(answer) > 2 and int(answer, 16) == VALID
        return len(answer) >= 66 and answer.startswith(MAGIC)

    def _call(self, chain_id: int, call: dict[str, str]) -> str:
        for place, node in enumerate(self._nodes.get(chain_id, ())):
            try:
                if int(self._ask(node, "eth_chainId", []), 16) != chain_id:
                    log.warning("node %d of chain %d serves another chain", place, chain_id)
                    continue
                return str(self._ask(node, "eth_call", [call, "latest"]))
            except (httpx.HTTPError, LookupError, TypeError, UnicodeDecodeError) as error:
                log.warning("node %d of chain %d does not answer: %s", place, chain_id, type(error).__name__)
        raise ChainUnavailable("Your signature cannot be checked right now: no node of the chain answers.")

    def _ask(self, node: str, method: str, params: list[Any]) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with httpx.Client(timeout=self._timeout_s, trust_env=False) as client:
            answer = client.post(node, json=body)
        if answer.is_error:
            answer.raise_for_status()
        found = answer.json()
        error = found.get("error")
        if error and (error.get("code") == 3 or CONTRACTS_FAULT.search(str(error.get("message")))):
            raise ContractRefuses
        result: str = found["result"]
        return result


def _question(wallet: str, digest: bytes, signature: bytes) -> dict[str, str]:
    data = MAGIC + encode(["bytes32", "bytes"], [digest, signature]).hex()
    return {"to": wallet, "data": data}


def _validation(wallet: str, digest: bytes, signature: bytes) -> dict[str, str]:
    asked = encode(["address", "bytes32", "bytes"], [wallet, digest, signature])
    return {"data": EIP6492_VALIDATOR_BYTECODE + asked.hex()}
