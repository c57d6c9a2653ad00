"""A wallet's list of public SSH keys, and which of them may log in to a session."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from controller.errors import BadInput, NotYours, SshKeyKnown, SshKeyNeeded, TooManySshKeys
from controller.models import SshKey, Wallet
from controller.services.deps import Deps
from controller.services.shells.public_keys import MAX_COMMENT_CHARS, read_key

MAX_KEYS = 16


@dataclass(frozen=True)
class SshKeyView:
    """A key of the list."""

    id: str
    name: str
    public_key: str
    fingerprint: str
    created_at_ms: int


def list_keys(deps: Deps, wallet: str) -> list[SshKeyView]:
    """The wallet's keys, oldest first."""
    with deps.database.begin() as db:
        return [_view(row) for row in _rows(db, wallet)]


def add_key(deps: Deps, wallet: str, pasted: str, name: str | None = None) -> SshKeyView:
    """Put a public key into the list.

    Args:
        deps: ports.
        wallet: signed in.
        pasted: the line of a `.pub` file.
        name: what its owner calls it; by default its comment.

    Raises:
        BadSshKey: it is none.
        BadInput: the name cannot be shown.
        SshKeyKnown: it is in the list.
        TooManySshKeys: the list is full.
    """
    key = read_key(pasted)
    row = SshKey(
        id=deps.new_id(),
        wallet=wallet,
        name=_name(name if name is not None else key.comment[:MAX_COMMENT_CHARS] or key.type),
        public_key=key.text,
        fingerprint=key.fingerprint,
        created_at_ms=deps.clock.now_ms(),
    )
    try:
        with deps.database.begin() as db:
            _lock(db, wallet)
            if len(_rows(db, wallet)) >= MAX_KEYS:
                raise TooManySshKeys
            db.add(row)
            db.flush()
            return _view(row)
    except IntegrityError as error:
        raise SshKeyKnown from error


def rename_key(deps: Deps, wallet: str, key_id: str, name: str) -> SshKeyView:
    """Call a key otherwise.

    Raises:
        BadInput: the name cannot be shown.
        NotYours: there is no such key in the wallet's list.
    """
    with deps.database.begin() as db:
        row = _mine(db, wallet, key_id)
        row.name = _name(name)
        db.add(row)
        return _view(row)


def remove_key(deps: Deps, wallet: str, key_id: str) -> None:
    """Take a key out of the list. A session that runs keeps the keys it was started with.

    Raises:
        NotYours: there is no such key in the wallet's list.
    """
    with deps.database.begin() as db:
        _mine(db, wallet, key_id)
        db.exec(delete(SshKey).where(col(SshKey.id) == key_id))


def allowed(db: Session, wallet: str, wanted: str | None) -> list[str]:
    """The keys that may log in to a new session, type and blob each.

    Args:
        db: open transaction.
        wallet: whose session it is.
        wanted: a public key, the id of one of the list, or None for the whole list.

    Raises:
        BadSshKey: it is neither.
        NotYours: no key of the list has this id.
        SshKeyNeeded: the list is empty.
    """
    if wanted is None:
        keys = [row.public_key for row in _rows(db, wallet)]
        if not keys:
            raise SshKeyNeeded
        return keys
    if " " in wanted.strip():
        return [read_key(wanted).text]
    return [_mine(db, wallet, wanted).public_key]


def _rows(db: Session, wallet: str) -> list[SshKey]:
    order = (col(SshKey.created_at_ms), col(SshKey.id))
    return list(db.exec(select(SshKey).where(SshKey.wallet == wallet).order_by(*order)))


def _lock(db: Session, wallet: str) -> None:
    """One change of a list at a time, or two could both find room for one."""
    db.exec(select(Wallet.address).where(Wallet.address == wallet).with_for_update(key_share=True)).one()


def _mine(db: Session, wallet: str, key_id: str) -> SshKey:
    row = db.exec(select(SshKey).where(SshKey.id == key_id, SshKey.wallet == wallet)).first()
    if row is None:
        raise NotYours
    return row


def _name(name: str) -> str:
    shown = name.strip()
    if not 0 < len(shown) <= MAX_COMMENT_CHARS or not shown.isprintable():
        raise BadInput(f"A key's name has 1 to {MAX_COMMENT_CHARS} printable characters.", field="name")
    return shown


def _view(row: SshKey) -> SshKeyView:
    return SshKeyView(row.id, row.name, row.public_key, row.fingerprint, row.created_at_ms)
