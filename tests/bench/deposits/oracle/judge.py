"""Holds what the product wrote against what the chain says, and names every difference.

`lost`: value that somebody should have and has not. `doubled`: value that somebody has and should not have.
`drift`: wei (or a token's smallest unit) in the journal minus on the chain. `wrong`: anything else.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from deposits.oracle import worth
from deposits.oracle.journal import Journal, read
from deposits.oracle.money import NOBODY, Fact, Money, walk
from deposits.oracle.quoted import Quotes
from deposits.oracle.rpc import Asker
from deposits.oracle.sums import balances, drift, sound
from deposits.oracle.terms import Ledgered, Terms
from deposits.oracle.verdict import Due, Verdict, told

GONE = {"orphaned", "reversed"}
CREDITED = {"credited", "final"}
# An AXGT price goes through a root and a power: the last digits are the product's own to choose.
AXGT_SLACK = 10**9


def judge(terms: Terms) -> Verdict:
    """Compare everything, once the product has had the time to see everything."""
    journal, verdict = read(terms.conninfo), Verdict()
    askers = [Asker(chain.rpc_url) for chain in terms.chains]
    try:
        due_to: dict[str, int] = defaultdict(int)
        for chain, asker in zip(terms.chains, askers, strict=True):
            money = walk(asker, chain)
            dues = _dues(asker, terms, chain, money, journal)
            _events(verdict, journal, chain, dues)
            for wallet, gpu_ms in _credits(verdict, journal, chain, dues).items():
                due_to[wallet] += gpu_ms
            drift(verdict, journal, chain, money, dues)
        balances(verdict, journal, due_to)
        sound(verdict, journal)
    finally:
        for asker in askers:
            asker.close()
    return verdict


def _dues(asker: Asker, terms: Terms, chain: Ledgered, money: Money, journal: Journal) -> list[Due]:
    quotes = Quotes(asker, terms, chain, journal.quotes, money.facts)
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
        verdict.doubled.append(f"{told(due)} was credited; its fate is {due.fate}")
    elif state not in FATES[due.fate]:
        verdict.wrong.append(f"{told(due)} is {state}; its fate is {due.fate}")


def _agreed(verdict: Verdict, due: Due, brought: int) -> int:
    """The worth to hold the wallet's balance against; a difference is named."""
    slack = due.gpu_ms // AXGT_SLACK + 1 if due.fact.asset == "axgt" else 0
    verdict.credited += 1
    if abs(brought - due.gpu_ms) <= slack:
        return brought
    list_ = verdict.lost if brought < due.gpu_ms else verdict.doubled
    list_.append(f"{told(due)} brought {brought} GPU-ms, its worth is {due.gpu_ms}")
    return due.gpu_ms


def _group(verdict: Verdict, group: list[tuple[Due, str]]) -> None:
    """One wallet's payments of one asset: those below the minimum wait until their sum reaches it."""
    waiting = [due for due, state in group if state == "below_min"]
    credited = [due for due, state in group if state in CREDITED]
    for due, state in group:
        if state not in {"below_min", *CREDITED}:
            verdict.lost.append(f"{told(due)} is due and is {state}")
    verdict.below += len(waiting)
    if waiting and sum(d.fact.amount for d in waiting) >= min(d.minimum for d in waiting):
        verdict.lost.append(f"{told(waiting[0])} and others reach the minimum and wait")
    if credited and sum(d.fact.amount for d in credited) < min(d.minimum for d in credited):
        verdict.doubled.append(f"{told(credited[0])} was credited below the minimum")
