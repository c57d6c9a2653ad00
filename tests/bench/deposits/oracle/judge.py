"""Holds what the product wrote against what the chain says, and names every difference.

`lost`: value that somebody should have and has not. `doubled`: value that somebody has and should not have.
`drift`: wei (or a token's smallest unit) in the journal minus on the chain. `wrong`: anything else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from deposits.oracle import worth
from deposits.oracle.journal import Journal, read
from deposits.oracle.money import NOBODY, Fact, Money, walk
from deposits.oracle.quoted import Quotes
from deposits.oracle.rpc import Asker
from deposits.oracle.terms import Ledgered, Terms

GONE = {"orphaned", "reversed"}
CREDITED = {"credited", "final"}
# An AXGT price goes through a root and a power: the last digits are the product's own to choose.
AXGT_SLACK = 10**9


@dataclass
class Verdict:
    """What was found. `lost`, `doubled` and `wrong` hold a sentence for each finding."""

    credited: int = 0
    suspense: int = 0
    below: int = 0
    waiting: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    drift: dict[str, int] = field(default_factory=dict)

    @property
    def drift_wei(self) -> int:
        return sum(abs(d) for d in self.drift.values())

    @property
    def findings(self) -> list[str]:
        drifts = [f"drift of {d} in {asset}" for asset, d in self.drift.items() if d]
        return [*self.lost, *self.doubled, *self.wrong, *drifts]


@dataclass(frozen=True)
class Due:
    """What has to become of a payment: `credit` with its worth, `suspense`, `price`, `own` or `confirm`.

    `own` moves between our own wallets; `confirm` is too new for anything.
    """

    fact: Fact
    fate: str
    gpu_ms: int = 0
    minimum: int = 0


def judge(terms: Terms) -> Verdict:
    """Compare everything, once the product has had the time to see everything."""
    journal, verdict = read(terms.conninfo), Verdict()
    askers = [Asker(chain.rpc_url) for chain in terms.chains]
    try:
        balances: dict[str, int] = defaultdict(int)
        for chain, asker in zip(terms.chains, askers, strict=True):
            money = walk(asker, chain)
            dues = _dues(asker, terms, chain, money, journal)
            _events(verdict, journal, chain, dues)
            for wallet, gpu_ms in _credits(verdict, journal, chain, dues).items():
                balances[wallet] += gpu_ms
            _drift(verdict, journal, chain, money, dues)
        _balances(verdict, journal, balances)
        _sound(verdict, journal)
    finally:
        for asker in askers:
            asker.close()
    return verdict


def _dues(asker: Asker, terms: Terms, chain: Ledgered, money: Money, journal: Journal) -> list[Due]:
    quotes = Quotes(asker, terms, chain, journal.quotes)
    dues = []
    for fact in sorted(money.facts, key=lambda f: f.block):
        due = _due(asker, terms, chain, money, fact)
        quoted = quotes.value(fact) if due.fate in {"credit", "price"} else None
        dues.append(due if quoted is None else Due(fact, "credit", quoted, 0))
    return dues


def _due(asker: Asker, terms: Terms, chain: Ledgered, money: Money, fact: Fact) -> Due:
    if money.head - fact.block + 1 < chain.confirmations:
        return Due(fact, "confirm")
    if fact.payer in chain.revenue:
        return Due(fact, "own")
    taken = fact.asset in terms.enabled and (fact.asset != "eth" or chain is terms.home)
    if fact.payer == NOBODY or fact.payer in terms.own or not taken or fact.doubtful:
        return Due(fact, "suspense")
    found = worth.value(asker, terms, chain, fact)
    return Due(fact, "credit", *found) if found else Due(fact, "price")


def _same(fact: Fact) -> tuple[object, ...]:
    return fact.chain_id, fact.tx_hash, fact.asset, fact.payer, fact.amount


def _events(verdict: Verdict, journal: Journal, chain: Ledgered, dues: list[Due]) -> None:
    """Every payment has one event in the right state, and every live event is a payment."""
    rows = [r for r in journal.rows if r.chain_id == chain.chain_id]
    live = [r for r in rows if r.state not in GONE]
    known = Counter((r.chain_id, r.tx_hash, r.asset, r.payer, r.amount) for r in live)
    wanted = Counter(_same(due.fact) for due in dues)
    for missing in (wanted - known).elements():
        verdict.lost.append(f"no event for {missing}")
    for extra in (known - wanted).elements():
        verdict.doubled.append(f"an event that the chain does not have: {extra}")
    at = {(r.tx_hash, r.position): r for r in live}
    for due in dues:
        row = at.get((due.fact.tx_hash, due.fact.position or ""))
        if due.fact.position and row is None:
            verdict.wrong.append(f"{due.fact.tx_hash} has no event at {due.fact.position}")
        elif row is not None and row.block_hash != due.fact.block_hash:
            verdict.wrong.append(f"{due.fact.tx_hash} is kept in another block than it is in")
    for row in rows:
        if row.state in GONE and (row.booked or journal.brought[row.tx_hash, row.position]):
            verdict.doubled.append(f"{row.tx_hash} is gone and still booked")


def _state(journal: Journal, due: Due, taken: set[int]) -> tuple[str, int]:
    """The state of the payment's event and what it brought, each event counted once."""
    for place, row in enumerate(journal.rows):
        same = (row.chain_id, row.tx_hash, row.asset, row.payer, row.amount) == _same(due.fact)
        if (
            same
            and row.state not in GONE
            and place not in taken
            and due.fact.position in {None, row.position}
        ):
            taken.add(place)
            return row.state, journal.brought[row.tx_hash, row.position]
    return "missing", 0


def _credits(verdict: Verdict, journal: Journal, chain: Ledgered, dues: list[Due]) -> dict[str, int]:
    """What each wallet must have, and whether each event says so."""
    due_to: dict[str, int] = defaultdict(int)
    taken: set[int] = set()
    groups: dict[tuple[str, str], list[tuple[Due, str]]] = defaultdict(list)
    for due in dues:
        state, brought = _state(journal, due, taken)
        if due.fate != "credit":
            _uncredited(verdict, due, state)
            continue
        if state == "confirming" and _capped(chain, journal, due):
            verdict.waiting += 1
            continue
        groups[due.fact.payer, due.fact.asset].append((due, state))
        if state in CREDITED:
            due_to[due.fact.payer] += _agreed(verdict, due, brought)
    for group in groups.values():
        _group(verdict, group)
    return due_to


def _capped(chain: Ledgered, journal: Journal, due: Due) -> bool:
    """Whether a payment has to wait, since its wallet has all that it may have before anything is final."""
    if chain.cap_gpu_ms is None:
        return False
    open_ = [r for r in journal.rows if r.state == "credited" and r.payer == due.fact.payer]
    return sum(journal.brought[r.tx_hash, r.position] for r in open_) + due.gpu_ms > chain.cap_gpu_ms


# The states that a payment may be in which nobody is credited for.
FATES = {
    "suspense": {"unattributed", "wrong_asset"},
    "own": {"own_move"},
    "price": {"price_pending"},
    "confirm": {"seen", "confirming"},
}


def _uncredited(verdict: Verdict, due: Due, state: str) -> None:
    verdict.suspense += due.fate == "suspense"
    verdict.waiting += due.fate in {"price", "confirm"}
    if state in CREDITED:
        verdict.doubled.append(f"{_told(due)} was credited; its fate is {due.fate}")
    elif state not in FATES[due.fate]:
        verdict.wrong.append(f"{_told(due)} is {state}; its fate is {due.fate}")


def _agreed(verdict: Verdict, due: Due, brought: int) -> int:
    """The worth to hold the wallet's balance against; a difference is named."""
    slack = due.gpu_ms // AXGT_SLACK + 1 if due.fact.asset == "axgt" else 0
    verdict.credited += 1
    if abs(brought - due.gpu_ms) <= slack:
        return brought
    list_ = verdict.lost if brought < due.gpu_ms else verdict.doubled
    list_.append(f"{_told(due)} brought {brought} GPU-ms, its worth is {due.gpu_ms}")
    return due.gpu_ms


def _group(verdict: Verdict, group: list[tuple[Due, str]]) -> None:
    """One wallet's payments of one asset: those below the minimum wait until their sum reaches it."""
    waiting = [due for due, state in group if state == "below_min"]
    credited = [due for due, state in group if state in CREDITED]
    for due, state in group:
        if state not in {"below_min", *CREDITED}:
            verdict.lost.append(f"{_told(due)} is due and is {state}")
    verdict.below += len(waiting)
    if waiting and sum(d.fact.amount for d in waiting) >= min(d.minimum for d in waiting):
        verdict.lost.append(f"{_told(waiting[0])} and others reach the minimum and wait")
    if credited and sum(d.fact.amount for d in credited) < min(d.minimum for d in credited):
        verdict.doubled.append(f"{_told(credited[0])} was credited below the minimum")


def _told(due: Due) -> str:
    fact = due.fact
    return f"{fact.amount} {fact.asset} of {fact.payer[:8]} in {fact.tx_hash[:10]} {fact.position or 'eth:*'}"


def _drift(verdict: Verdict, journal: Journal, chain: Ledgered, money: Money, dues: list[Due]) -> None:
    """The journal's chain accounts against what the revenue wallets' balances grew by."""
    for asset, grown in money.grown.items():
        code = f"{chain.chain_id}:{asset}"
        # A transaction's own value was spent by one of our wallets, too, where it is a move between them.
        apart = {"confirm", "own"} if asset == "eth" else {"confirm"}
        new = sum(d.fact.amount for d in dues if d.fact.asset == asset and d.fate in apart)
        new += _held(journal, chain, asset)
        doubtful = sum(d.fact.amount for d in dues if d.fact.asset == asset and d.fact.doubtful)
        booked = -journal.accounts.get(f"chain:{code}", 0)
        came = grown + (money.spent if asset == "eth" else 0) - new
        if not doubtful:  # a token that lies about its transfers has no true amount
            verdict.drift[code] = booked - came
        kept = sum(journal.accounts.get(f"{side}:{code}", 0) for side in ("received", "suspense", "returned"))
        if kept != booked:
            verdict.wrong.append(f"{booked} {asset} came in, {kept} are kept for somebody")


def _held(journal: Journal, chain: Ledgered, asset: str) -> int:
    """What waits unbooked under the cap on credit that is not final; `_capped` saw that it has to."""
    rows = [r for r in journal.rows if r.state == "confirming" and r.asset == asset]
    return sum(r.amount for r in rows) if chain.cap_gpu_ms is not None else 0


def _balances(verdict: Verdict, journal: Journal, due_to: dict[str, int]) -> None:
    wallets = {code.removeprefix("user:") for code in journal.accounts if code.startswith("user:")}
    for wallet in wallets | due_to.keys():
        has, due = journal.accounts.get(f"user:{wallet}", 0), due_to.get(wallet, 0)
        if has < due:
            verdict.lost.append(f"{wallet[:8]} has {has} GPU-ms, {due} are due")
        elif has > due:
            verdict.doubled.append(f"{wallet[:8]} has {has} GPU-ms, {due} are due")


def _sound(verdict: Verdict, journal: Journal) -> None:
    """The journal agrees with itself."""
    for key in journal.bridged:
        verdict.wrong.append(f"{key} crosses units")
    for code, told in journal.told.items():
        if told != journal.accounts.get(code, 0):
            verdict.wrong.append(f"account {code} says {told}, its transfers {journal.accounts.get(code, 0)}")
    for code, number in Counter((r.chain_id, r.tx_hash, r.position) for r in journal.rows).items():
        if number > 1:
            verdict.doubled.append(f"{code} is written down {number} times")
    for (tx_hash, position), number in journal.live.items():
        if number > 1:
            verdict.doubled.append(f"{tx_hash[:10]} {position} has {number} live credits")
    for chain_id, (number, stopped) in journal.cursors.items():
        if stopped:
            verdict.wrong.append(f"the watcher of chain {chain_id} stopped at {number}: {stopped}")
