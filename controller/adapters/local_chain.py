"""The local chain as the pages may use it, and the faucet's purse. Made in local mode only."""

from __future__ import annotations

import threading
from pathlib import Path

import requests
from eth_account import Account
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from requests.exceptions import RequestException
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import TxParams, Wei

from controller.adapters.node import OneShotProvider
from controller.errors import ChainUnavailable

GAS = 21_000
MINT_GAS = 150_000
MINT = "0x40c10f19"
PRICE_FACTOR = 2
TIMEOUT_S = 10


class LocalChain:
    """Implements `services.local_chain.LocalNode`."""

    def __init__(self, rpc_url: str, faucet_key: Path) -> None:
        """Args: the local node; a file with the faucet's private key in hex."""
        self._url = rpc_url
        self._web3 = Web3(OneShotProvider(rpc_url, timeout_s=TIMEOUT_S))
        self._faucet = Account.from_key(faucet_key.read_text().strip())
        self._sending = threading.Lock()

    def forward(self, body: bytes) -> bytes:
        try:
            answer = requests.post(
                self._url, data=body, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S
            )
        except RequestException as error:
            raise ChainUnavailable from error
        return answer.content

    def pay(self, address: str, wei: int) -> str:
        return self._send({"to": to_checksum_address(address), "value": Wei(wei), "gas": GAS})

    def mint(self, token: str, address: str, units: int) -> str:
        data = MINT + address.lower().removeprefix("0x").rjust(64, "0") + f"{units:064x}"
        call: TxParams = {"to": to_checksum_address(token), "value": Wei(0), "gas": MINT_GAS}
        return self._send({**call, "data": HexStr(data)})

    def _send(self, wanted: TxParams) -> str:
        try:
            with self._sending:
                return self._signed_and_sent(wanted)
        except (RequestException, Web3Exception, ValueError) as error:
            raise ChainUnavailable("The faucet cannot pay right now.") from error

    def _signed_and_sent(self, wanted: TxParams) -> str:
        transaction: TxParams = {
            **wanted,
            "gasPrice": Wei(self._web3.eth.gas_price * PRICE_FACTOR),
            "nonce": self._web3.eth.get_transaction_count(self._faucet.address, "pending"),
            "chainId": self._web3.eth.chain_id,
        }
        signed = self._faucet.sign_transaction(transaction)
        return self._web3.eth.send_raw_transaction(signed.raw_transaction).to_0x_hex()
