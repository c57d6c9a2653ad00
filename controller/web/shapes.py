"""Answers of the API that are no view of a service: lists under a name, and a word that it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.services.deposits.views import DepositView
from controller.services.homes.views import HomeView
from controller.services.queue.gpu_choice import GpuModelView
from controller.services.sessions.views import ProfileView, SavedView, SessionView
from controller.services.shells.keys import SshKeyView
from controller.services.wallets.api_tokens import TokenView


@dataclass(frozen=True)
class SignedInBrowser:
    """The session is in a cookie; its CSRF token goes with every state change."""

    wallet: str
    csrf_token: str
    expires_at_ms: int


@dataclass(frozen=True)
class SignedOut:
    """The sign-in is over."""

    signed_out: bool


@dataclass(frozen=True)
class Deposits:
    """A wallet's deposits, newest first."""

    deposits: list[DepositView]


@dataclass(frozen=True)
class Profiles:
    """The sizes there are, smallest first, and the GPU models that hosts are labelled with."""

    profiles: list[ProfileView]
    gpu_models: list[GpuModelView]


@dataclass(frozen=True)
class Current:
    """The live session, or what ran last."""

    session: SessionView | None
    saved: SavedView | None


@dataclass(frozen=True)
class IdleChosen:
    """How long the wallet's desktops may be idle from now on; 0: for ever."""

    minutes: int


@dataclass(frozen=True)
class Keys:
    """The list of public SSH keys, oldest first."""

    keys: list[SshKeyView]


@dataclass(frozen=True)
class Removed:
    """It is out of the list."""

    removed: bool


@dataclass(frozen=True)
class HomeShown:
    """The wallet's home; null where it never had one."""

    home: HomeView | None


@dataclass(frozen=True)
class SnapshotOrdered:
    """The name a snapshot will have; it is there once the order has been carried out."""

    name: str


@dataclass(frozen=True)
class Ordered:
    """It is being done; the home says so under `under_way`."""

    ordered: bool


@dataclass(frozen=True)
class Tokens:
    """The wallet's API tokens, and what scopes there are."""

    tokens: list[TokenView]
    scopes: dict[str, str]


@dataclass(frozen=True)
class Revoked:
    """The token is unknown from now on."""

    revoked: bool


@dataclass(frozen=True)
class TypedData:
    """EIP-712 words, as `eth_signTypedData_v4` takes them."""

    types: dict[str, list[dict[str, str]]]
    primaryType: str  # noqa: N815  (EIP-712's own word)
    domain: dict[str, Any]
    message: dict[str, Any]
