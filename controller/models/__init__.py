"""The tables, a module per area. All instants are integer milliseconds since the epoch, UTC (`_ms`)."""

from controller.models.base import metadata
from controller.models.chain import ChainCursor, ChainHeader
from controller.models.clock import ClockAnchor
from controller.models.homes import Home, HomeEvent, HomeSnapshot, StorageWindow
from controller.models.hosts import Gpu, Host, Slot
from controller.models.ledger import Account, Hold, JournalBatch, LedgerCheck, Transfer, UsageWindow
from controller.models.money import MoneyEvent, MoneyEventTransition, OperatorAlert, SentTransaction
from controller.models.operator import DepositAssignment, LedgerRequest, PaymentAddresses
from controller.models.pool import WarmDesktop
from controller.models.queue import Promise, QueuePlace
from controller.models.quotes import Quote
from controller.models.runs import Run, RunEvent
from controller.models.sessions import DesktopWarning, GpuSession, SessionEvent
from controller.models.wallets import ApiToken, RateLimit, SignInNonce, SshKey, Wallet, WebSession
from controller.models.x402 import SessionToken, SettlementSender, SignedKey, UsedNonce, X402Payment

__all__ = [
    "Account",
    "ApiToken",
    "ChainCursor",
    "ChainHeader",
    "ClockAnchor",
    "DepositAssignment",
    "DesktopWarning",
    "Gpu",
    "GpuSession",
    "Hold",
    "Home",
    "HomeEvent",
    "HomeSnapshot",
    "Host",
    "JournalBatch",
    "LedgerCheck",
    "LedgerRequest",
    "MoneyEvent",
    "MoneyEventTransition",
    "OperatorAlert",
    "PaymentAddresses",
    "Promise",
    "QueuePlace",
    "Quote",
    "RateLimit",
    "Run",
    "RunEvent",
    "SentTransaction",
    "SessionEvent",
    "SessionToken",
    "SettlementSender",
    "SignInNonce",
    "SignedKey",
    "Slot",
    "SshKey",
    "StorageWindow",
    "Transfer",
    "UsageWindow",
    "UsedNonce",
    "Wallet",
    "WarmDesktop",
    "WebSession",
    "X402Payment",
    "metadata",
]
