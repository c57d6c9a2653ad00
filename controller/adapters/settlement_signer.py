"""The signer that the x402 package's facilitator works with, made for one payment.

The package decides whether a payment is good and what is sent; which nonce it gets, and that it is written
down before it is sent, is the service's business. What went wrong on the way is remembered here, for the
package turns every failure into a refusal. Implements `x402.mechanisms.evm.FacilitatorEvmSigner`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NoReturn

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from x402.mechanisms.evm.types import TransactionReceipt

from controller.adapters.settlement_node import Fees, SettlementNodes
from controller.errors import AxonosError, ChainUnavailable
from controller.services.ports_settlement import Sending, Sign, SignedTransfer

POLL_FIRST_S, POLL_LONGEST_S = 0.005, 0.25


class NotSent(Exception):
    """No node took the transaction."""


class PaymentSigner:
    """Signs and sends one settlement."""

    def __init__(
        self,
        nodes: SettlementNodes,
        account: LocalAccount,
        sign: Sign,
        *,
        chain_id: int,
        gas_limit: int,
        wait_s: float,
    ) -> None:
        self._nodes, self._account, self._sign = nodes, account, sign
        self._chain_id, self._gas_limit, self._wait_s = chain_id, gas_limit, wait_s
        self.raised: AxonosError | None = None
        self.outage: ChainUnavailable | None = None
        self.signed: SignedTransfer | None = None
        self.sending: Sending | None = None
        self.receipt: dict[str, Any] | None = None

    def get_addresses(self) -> list[str]:
        return [self._account.address]

    def get_chain_id(self) -> int:
        return self._chain_id

    def get_code(self, address: str) -> bytes:
        return bytes.fromhex(self._asked("eth_getCode", address, "latest").removeprefix("0x"))

    def get_balance(self, address: str, token_address: str) -> int:
        raise NotImplementedError  # the scheme `exact` never asks it of EIP-3009 transfers

    def read_contract(self, address: str, abi: list[dict[str, Any]], function_name: str, *args: Any) -> Any:
        try:
            return self._nodes.call(self._account.address, address, abi, function_name, *args)
        except ChainUnavailable as error:
            self._down(error)

    def verify_typed_data(self, *_: Any) -> bool:
        raise NotImplementedError  # the scheme `exact` checks EIP-3009 signatures by their digest

    def write_contract(
        self,
        address: str,
        abi: list[dict[str, Any]],
        function_name: str,
        *args: Any,
        data_suffix: str | None = None,
    ) -> str:
        data, _ = self._nodes.encoded(abi, function_name, *args)
        data += (data_suffix or "").removeprefix("0x")
        fees = self._nodes.fees()
        try:
            self.signed = self._sign(lambda nonce: self.transaction(nonce, address, data, fees))
        except AxonosError as error:
            self.raised = error
            raise
        try:
            self.sending = self._nodes.send(self.signed.raw)
        except ChainUnavailable as error:
            self._down(error)
        if self.sending.outcome != "taken":
            raise NotSent(self.sending.why)
        return self.signed.tx_hash

    def send_transaction(self, to: str, data: bytes) -> str:
        raise NotImplementedError  # only wallets that are not deployed yet need it; those are not taken

    def wait_for_transaction_receipt(self, tx_hash: str) -> TransactionReceipt:
        end, pause_s = time.monotonic() + self._wait_s, POLL_FIRST_S
        while (found := self._asked("eth_getTransactionReceipt", tx_hash)) is None:
            if time.monotonic() > end:
                raise TimeoutError("no receipt yet")
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, POLL_LONGEST_S)
        self.receipt = found
        return TransactionReceipt(
            status=int(found["status"], 16),
            block_number=int(found["blockNumber"], 16),
            tx_hash=tx_hash,
            logs=found["logs"],
        )

    def transaction(
        self, nonce: int, to: str, data: str, fees: Fees, gas_limit: int | None = None
    ) -> SignedTransfer:
        """Sign a transaction of the settlement account; nothing is sent."""
        gas = gas_limit or self._gas_limit
        unsigned: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": to_checksum_address(to),
            "value": 0,
            "data": data,
            "gas": gas,
            "maxFeePerGas": fees.most,
            "maxPriorityFeePerGas": fees.tip,
            "type": 2,
        }
        signed = self._account.sign_transaction(unsigned)
        sender = self._account.address.lower()
        return SignedTransfer(
            signed.hash.to_0x_hex(), signed.raw_transaction.to_0x_hex(), sender, nonce, gas * fees.most
        )

    def _asked(self, method: str, *params: Any) -> Any:
        try:
            return self._nodes.ask(method, *params)
        except ChainUnavailable as error:
            self._down(error)

    def _down(self, error: ChainUnavailable) -> NoReturn:
        self.outage = error
        raise error


def never(_: Callable[[int], SignedTransfer]) -> SignedTransfer:
    """For a signer that settles nothing."""
    raise AssertionError("nothing is settled with this signer")
