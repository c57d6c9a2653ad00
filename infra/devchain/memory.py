"""What the chain remembers across a stop, a kill or a power cut.

`state.json.gz` is anvil's own dump: all blocks and transactions, the accounts as of the last block. It is
replaced atomically. A dump without history cannot answer "what was the price, the balance, at block N", and
anvil's own dump with history grows with the square of the chain's length. State changes only in blocks with
transactions, so we keep the accounts of each of those in a file of its own, and give anvil a history made of
them when it starts.
"""

from __future__ import annotations

import gzip
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import rlp
from eth_utils.crypto import keccak

# How many blocks back a balance or a price can be read: half an hour after the last transaction.
HISTORY = 512
_PUSH1, _PUSH32, _JUMPDEST = 0x60, 0x7F, 0x5B
# A block's hash is that of these fields, in this order (EIP-4788, the last that added one for Cancun).
_FIELDS = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"),
)
_NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")
_COUNTS = {*_NUMBERS, "baseFeePerGas", "blobGasUsed", "excessBlobGas"}


class Memory:
    """The files of one chain below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state.json.gz"
        self.boot = folder / "boot.json"
        self.accounts = folder / "accounts"
        self.accounts.mkdir(parents=True, exist_ok=True)

    def keep(self, dump: bytes, number: int, block_hash: str, *, changed: bool) -> None:
        """Make a dump durable.

        Args:
            dump: gzipped JSON as `anvil_dumpState` gives it.
            number: the last block's.
            block_hash: the last block's; a reorganised block must not find another's accounts.
            changed: whether the accounts may differ from the block before.
        """
        if changed:
            _replace(self.accounts / _name(number, block_hash), gzip.compress(_accounts_of(dump), 1))
            for old in sorted(self.accounts.glob("*.json.gz"))[:-HISTORY]:
                old.unlink()
        _replace(self.state, dump)

    def recall(self) -> tuple[list[str], int]:
        """Write what anvil is to start from.

        Returns:
            anvil's options for it, and the seconds by which the chain's clock ran ahead of ours.
        """
        if not self.state.exists():
            return [], 0
        dump = json.loads(gzip.decompress(self.state.read_bytes()))
        dump["blocks"] = _of_one_chain(dump["blocks"])
        dump["historical_states"] = self._history(dump)
        _replace(self.boot, json.dumps(dump).encode())
        ahead = int(dump["block"]["timestamp"], 16) - int(self.state.stat().st_mtime)
        return ["--load-state", str(self.boot)], ahead if ahead > 1 else 0

    def _history(self, dump: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        headers = sorted((block["header"] for block in dump["blocks"]), key=lambda h: int(h["number"], 16))
        history: list[tuple[str, dict[str, Any]]] = []
        snapshot: dict[str, Any] | None = None
        # A block's hash stands in its child; the last block's state is the dump itself.
        for header, child in pairwise(headers):
            number = int(header["number"], 16)
            kept = self.accounts / _name(number, child["parentHash"])
            if kept.exists():
                snapshot = _snapshot(json.loads(gzip.decompress(kept.read_bytes())))
            if snapshot is not None and number >= len(headers) - HISTORY:
                history.append((child["parentHash"], snapshot))
        return history


def _of_one_chain(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks without strange beginnings.

    anvil makes a genesis block at every start, keeps it beside the one it loads, and dumps both in any
    order; at the next start the one that comes last would be the chain's.
    """
    parent = next((b["header"]["parentHash"] for b in blocks if int(b["header"]["number"], 16) == 1), None)
    beginnings = [block for block in blocks if int(block["header"]["number"], 16) == 0]
    ours = [block for block in beginnings if _hash(block["header"]) == parent] or beginnings[:1]
    return ours[:1] + [block for block in blocks if int(block["header"]["number"], 16) > 0]


def _hash(header: dict[str, Any]) -> str:
    fields = [
        int(header[name], 16) if name in _COUNTS else bytes.fromhex(header[name][2:]) for name in _FIELDS
    ]
    return "0x" + keccak(rlp.encode(fields)).hex()


def _name(number: int, block_hash: str) -> str:
    return f"{number:012d}-{block_hash[2:18]}.json.gz"


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _accounts_of(dump: bytes) -> bytes:
    # The dump holds every block; taking the accounts out as text spares parsing all of it.
    text = gzip.decompress(dump)
    start = text.index(b'"accounts":') + len(b'"accounts":')
    return text[start : text.index(b',"best_block_number"', start)]


def _snapshot(accounts: dict[str, Any]) -> dict[str, Any]:
    """Anvil's form of a historical state."""
    return {
        "accounts": {
            address: {
                "balance": account["balance"],
                "nonce": account["nonce"],
                "code_hash": "0x" + keccak(hexstr=account["code"]).hex(),
                "code": _analysed(bytes.fromhex(account["code"][2:])),
            }
            for address, account in accounts.items()
        },
        "storage": {address: account["storage"] for address, account in accounts.items()},
        "block_hashes": {},
    }


def _analysed(code: bytes) -> dict[str, Any]:
    """Code with the table of its jump destinations, one bit for each byte, lowest bit first."""
    table = bytearray((len(code) + 7) // 8)
    at = 0
    while at < len(code):
        if code[at] == _JUMPDEST:
            table[at // 8] |= 1 << (at % 8)
        at += code[at] - _PUSH1 + 2 if _PUSH1 <= code[at] <= _PUSH32 else 1
    head = {"width": 8, "index": 0}
    return {
        "LegacyAnalyzed": {
            "bytecode": "0x" + code.hex() + "00" * 33,
            "original_len": len(code),
            "jump_table": {
                "order": "bitvec::order::Lsb0",
                "head": head,
                "bits": len(code),
                "data": list(table),
            },
        }
    }
