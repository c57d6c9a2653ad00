"""The sums: journal against chain to the wei, balances against what is due, the journal against itself."""

from __future__ import annotations

from collections import Counter

from deposits.oracle.journal import Journal
from deposits.oracle.money import Money
from deposits.oracle.terms import Ledgered
from deposits.oracle.verdict import Due, Verdict


def drift(verdict: Verdict, journal: Journal, chain: Ledgered, money: Money, dues: list[Due]) -> None:
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


def balances(verdict: Verdict, journal: Journal, due_to: dict[str, int]) -> None:
    wallets = {code.removeprefix("user:") for code in journal.accounts if code.startswith("user:")}
    for wallet in wallets | due_to.keys():
        has, due = journal.accounts.get(f"user:{wallet}", 0), due_to.get(wallet, 0)
        if has < due:
            verdict.lost.append(f"{wallet[:8]} has {has} GPU-ms, {due} are due")
        elif has > due:
            verdict.doubled.append(f"{wallet[:8]} has {has} GPU-ms, {due} are due")


def sound(verdict: Verdict, journal: Journal) -> None:
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
