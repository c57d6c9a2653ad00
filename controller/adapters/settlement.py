"""Implements `ports_settlement.Settler` with the x402 package's facilitator, in process, on JSON-RPC.

It holds the settlement key, which has gas money and nothing else. The key's file is read when it is first
needed: commands that settle nothing need not be able to.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from x402 import x402FacilitatorSync
from x402.mechanisms.evm.constants import AUTHORIZATION_STATE_ABI, NAME_ABI, VERSION_ABI
from x402.mechanisms.evm.exact import register_exact_evm_facilitator
from x402.mechanisms.evm.v1.constants import V1_NETWORK_CHAIN_IDS, V1_NETWORKS
from x402.schemas import PaymentPayload, PaymentRequirements
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequirementsV1

from controller.adapters import chain_words as words
from controller.adapters.settlement_node import Fees, SettlementNodes
from controller.adapters.settlement_signer import PaymentSigner, never
from controller.domain.x402 import Authorization, Payload
from controller.errors import ChainUnavailable, SettingsInvalid, SettlementPaused
from controller.services.ports_settlement import (
    Sending,
    Settled,
    Sign,
    Terms,
    TokenWords,
    TransferReceipt,
)
from controller.settings import Settings
from controller.settings_money import X402Rail

AUTHORIZATION_USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
LOOK_BACK_BLOCKS = 2_000
FILLER_GAS = 30_000


class X402Settler:
    """Settles on the chain that USDC is paid on. Safe to share between threads."""

    def __init__(self, settings: Settings, rail: X402Rail) -> None:
        self._chain, self._rail = settings.chain_of("usdc"), rail
        self._asset = settings.usdc.contract
        self._nodes = SettlementNodes(self._chain)

    def close(self) -> None:
        """Close the connections to the nodes."""
        self._nodes.close()

    @cached_property
    def _account(self) -> LocalAccount:
        try:
            account: LocalAccount = Account.from_key(self._rail.settlement_key.read_text().strip())
        except (OSError, ValueError) as error:
            raise SettingsInvalid(
                f"x402.settlement_key: {self._rail.settlement_key} holds no key."
            ) from error
        return account

    @property
    def sender(self) -> str:
        return str(self._account.address).lower()

    @cached_property
    def _token(self) -> TokenWords:
        name, version = (
            self._nodes.call(self.sender, self._asset, abi, what)
            for abi, what in ((NAME_ABI, "name"), (VERSION_ABI, "version"))
        )
        return TokenWords(str(name), str(version))

    def token(self) -> TokenWords:
        return self._token

    def v1_network(self) -> str | None:
        ids = {V1_NETWORK_CHAIN_IDS[name]: name for name in V1_NETWORKS if name in V1_NETWORK_CHAIN_IDS}
        return ids.get(self._chain.chain_id)

    def prepare(self) -> None:
        if self._nodes.fees().price > self._rail.max_gas_price_wei:
            raise SettlementPaused(
                "Gas is too dear on the chain just now. Nothing was taken.", retry_after_s=60
            )

    def settle(self, payload: Payload, terms: Terms, sign: Sign) -> Settled:
        signer = self._signer(sign)
        facilitator = x402FacilitatorSync()
        register_exact_evm_facilitator(facilitator, signer, terms.network, simulate_in_settle=True)
        said = facilitator.settle(*(_v1(payload, terms) if payload.version == 1 else _v2(payload, terms)))
        if signer.raised is not None:
            raise signer.raised
        if signer.signed is None:
            if signer.outage is not None:
                raise signer.outage
            return Settled(refused=said.error_reason or "invalid_payment")
        return Settled(None, signer.signed, signer.sending, self._seen(signer))

    def send(self, raw: str) -> Sending:
        return self._nodes.send(raw)

    def fill(self, nonce: int) -> Sending:
        fees = self._nodes.fees()
        # A transaction in the pool is replaced only by one that pays clearly more.
        more = Fees(2 * fees.most, 2 * fees.tip, fees.price)
        made = self._signer(never).transaction(nonce, self.sender, "0x", more, FILLER_GAS)
        return self._nodes.send(made.raw)

    def receipt(self, tx_hash: str) -> TransferReceipt | None:
        found = self._nodes.ask("eth_getTransactionReceipt", tx_hash)
        if found is None:
            return None
        sent = self._nodes.ask("eth_getTransactionByHash", tx_hash)
        return None if sent is None else self._told(found, words.integer(sent["nonce"]))

    def used_in(self, payer: str, nonce: str) -> str | None:
        asked = (payer, bytes.fromhex(nonce[2:]))
        used = self._nodes.call(
            self.sender, self._asset, AUTHORIZATION_STATE_ABI, "authorizationState", *asked
        )
        if not used:
            return None
        head = words.integer(self._nodes.ask("eth_blockNumber"))
        logs = self._nodes.ask(
            "eth_getLogs",
            {
                "address": self._asset,
                "fromBlock": hex(max(head - LOOK_BACK_BLOCKS, 0)),
                "topics": [AUTHORIZATION_USED, "0x" + words.padded(payer), nonce],
            },
        )
        return words.hash32(logs[0]["transactionHash"]) if logs else None

    def pending_nonce(self) -> int:
        return self._nodes.count(self.sender, "pending")

    def mined_nonce(self) -> int:
        return self._nodes.count(self.sender, "latest")

    def _signer(self, sign: Sign) -> PaymentSigner:
        return PaymentSigner(
            self._nodes,
            self._account,
            sign,
            chain_id=self._chain.chain_id,
            gas_limit=self._rail.gas_limit,
            wait_s=self._rail.receipt_wait_s,
        )

    def _seen(self, signer: PaymentSigner) -> TransferReceipt | None:
        """What a block says of it; nothing where the node falls silent now: it is on its way all the same."""
        if signer.receipt is None or signer.signed is None:
            return None
        try:
            return self._told(signer.receipt, signer.signed.nonce)
        except ChainUnavailable:
            return None

    def _told(self, receipt: dict[str, Any], nonce: int) -> TransferReceipt:
        """A receipt as services see it; payments have the positions that the watcher gives them."""
        block = words.block_of(self._nodes.ask("eth_getBlockByHash", receipt["blockHash"], False))
        tx = {
            "hash": receipt["transactionHash"],
            "from": receipt["from"],
            "to": receipt["to"],
            "nonce": hex(nonce),
            "value": "0x0",
            "gasPrice": receipt.get("effectiveGasPrice"),
        }
        tokens = {self._asset.lower(): "usdc"}
        return TransferReceipt(
            succeeded=words.integer(receipt["status"]) == 1,
            gas_wei=words.spent(tx, receipt),
            block=block,
            payments=words.payments(tx, receipt, self._chain.wallets, tokens),
        )


def _v2(payload: Payload, terms: Terms) -> tuple[PaymentPayload, PaymentRequirements]:
    wanted = PaymentRequirements(
        scheme="exact",
        network=terms.network,
        asset=terms.asset,
        amount=str(terms.amounts[0]),
        pay_to=terms.pay_to,
        max_timeout_seconds=terms.max_timeout_s,
        extra={"name": terms.token.name, "version": terms.token.version},
    )
    return PaymentPayload(payload=_words(payload.authorization), accepted=wanted), wanted


def _v1(payload: Payload, terms: Terms) -> tuple[PaymentPayloadV1, PaymentRequirementsV1]:
    network = terms.v1_network or ""
    wanted = PaymentRequirementsV1(
        scheme="exact",
        network=network,
        max_amount_required=str(terms.amounts[0]),
        resource=terms.resource,
        pay_to=terms.pay_to,
        max_timeout_seconds=terms.max_timeout_s,
        asset=terms.asset,
        extra={"name": terms.token.name, "version": terms.token.version},
    )
    return PaymentPayloadV1(scheme="exact", network=network, payload=_words(payload.authorization)), wanted


def _words(signed: Authorization) -> dict[str, Any]:
    return {
        "signature": signed.signature,
        "authorization": {
            "from": signed.payer,
            "to": signed.to,
            "value": str(signed.amount),
            "validAfter": str(signed.valid_after_s),
            "validBefore": str(signed.valid_before_s),
            "nonce": signed.nonce,
        },
    }
