"""What ledger and meter must come to, as dicts and a few rules; it imports nothing of the controller."""

from __future__ import annotations

from typing import Any

MINUTE = 60_000
GRACE = 120 * MINUTE
CONFIRMATIONS = 6
LIVE = ("starting", "running", "grace")

Session = dict[str, Any]


class Model:
    """Balances by wallet, payments by transaction, sessions in the order of their claims."""

    def __init__(self, wallets: list[str]) -> None:
        self.balance = dict.fromkeys(wallets, 0)
        self.payments: dict[str, dict[str, Any]] = {}
        self.sessions: list[Session] = []
        self.entries: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        self.approved: set[str] = set()

    # Money from the chain.

    def paid(self, tx: str, wallet: str, gpu_ms: int, height: int) -> None:
        self.payments[tx] = {"wallet": wallet, "gpu_ms": gpu_ms, "height": height, "credited": False}

    def dropped(self, height: int) -> None:
        for payment in self.payments.values():
            if payment["height"] is not None and payment["height"] > height:
                payment["height"] = None

    def watched(self, head: int, now: int) -> None:
        for payment in self.payments.values():
            if payment["height"] is None and payment["credited"]:
                self.balance[payment["wallet"]] -= payment["gpu_ms"]
                payment["credited"] = False
        for payment in self.payments.values():
            deep = payment["height"] is not None and head - payment["height"] + 1 >= CONFIRMATIONS
            if deep and not payment["credited"]:
                payment["credited"] = True
                self.balance[payment["wallet"]] += payment["gpu_ms"]
                for session in self.sessions:
                    if session["wallet"] == payment["wallet"] and session["state"] == "grace":
                        self._look_at(session, now)

    # Sessions.

    def held(self, wallet: str) -> int:
        return sum(
            s["gpus"] * MINUTE for s in self.sessions if s["wallet"] == wallet and s["state"] == "starting"
        )

    def claim(self, wallet: str, gpus: int, now: int) -> str | None:
        if any(s["wallet"] == wallet and s["state"] in LIVE for s in self.sessions):
            return "live"
        if self.balance[wallet] < gpus * MINUTE:
            return "poor"
        made = {"wallet": wallet, "gpus": gpus, "state": "starting", "claimed": now, "lost": False, "bill": 0}
        self.sessions.append({**made, "billed_to": None, "proof": None, "until": None, "grace_until": None})
        return None

    def started(self, now: int) -> list[Session]:
        """Containers start and stop: what was starting runs, what was ending is gone."""
        new = [s for s in self.sessions if s["state"] == "starting"]
        for s in new:
            s |= {"state": "running", "billed_to": now, "proof": now}
        for s in self.sessions:
            if s["state"] == "ending":
                if s["proof"] is not None and not s["lost"]:
                    s["proof"] = max(s["proof"], now)
                self._settle(s)
                s["billed_to"] = s["until"] if s["billed_to"] is not None else None
                s["state"] = "ended"
        return new

    def reported(self, at: int) -> None:
        for s in self.sessions:
            if s["state"] in ("running", "grace"):
                s["proof"] = max(s["proof"], at)

    def tick(self) -> None:
        for s in self.sessions:
            if s["state"] == "running":
                self._settle(s)

    def heartbeat(self, s: Session) -> None:
        if s["state"] == "running":
            self._settle(s)

    def expire(self, now: int) -> None:
        for s in self.sessions:
            lasts = max(0, self.balance[s["wallet"]]) // s["gpus"]
            out = s["state"] == "running" and lasts <= s["proof"] - s["billed_to"]
            over = s["state"] == "grace" and s["grace_until"] <= now
            back = s["state"] == "grace" and self.balance[s["wallet"]] >= s["gpus"] * MINUTE
            if out or over or back:
                self._look_at(s, now)

    def end(self, s: Session, now: int) -> None:
        if s["state"] in LIVE:
            self._end(s, max(now, s["proof"] or 0))

    def _look_at(self, s: Session, now: int) -> None:
        wallet = s["wallet"]
        was = s["state"]
        if was == "running":
            self._settle(s)
            at = s["billed_to"] + max(0, self.balance[wallet]) // s["gpus"]
            if at <= s["proof"]:
                s |= {"state": "grace", "billed_to": at, "grace_until": at + GRACE}
        if was == "grace" and self.balance[wallet] >= s["gpus"] * MINUTE:
            s |= {"state": "running", "billed_to": max(now, s["billed_to"]), "grace_until": None}
        if s["state"] == "grace" and s["grace_until"] <= now:
            self._end(s, s["grace_until"])

    def _end(self, s: Session, at: int) -> None:
        if s["state"] == "grace":
            s["billed_to"] = max(at, s["billed_to"])
        s |= {"state": "ending", "until": at}
        self._settle(s)

    def _settle(self, s: Session) -> None:
        """Charge up to the last proof of life or the end, and never more than there is."""
        if s["billed_to"] is None:
            return
        to = min(s["proof"], s["until"] if s["until"] is not None else s["proof"])
        to = min(to, s["billed_to"] + max(0, self.balance[s["wallet"]]) // s["gpus"])
        if to > s["billed_to"]:
            cost = (to - s["billed_to"]) * s["gpus"]
            self.balance[s["wallet"]] -= cost
            s["bill"] += cost
            s["billed_to"] = to

    # Operators.

    def enter(self, name: str, said: tuple[str, str, int]) -> str | None:
        if name in self.entries:
            return None if self.entries[name] == said else "conflict"
        _, wallet, minutes = said
        if minutes < 0 and self.balance[wallet] - self.held(wallet) < -minutes * MINUTE:
            return "poor"
        self.entries[name] = said
        self.balance[wallet] += minutes * MINUTE
        return None

    def approve(self, name: str, gpu_ms: int) -> None:
        if name not in self.approved:
            self.approved.add(name)
            self.balance[self.asked[name]] += gpu_ms
