"""Transactions that need not wait for the disk."""

from __future__ import annotations

# A column of a transaction's first statement. With it the commit does not wait until it is on disk: a server
# that dies may lose the last half second of such commits, each as a whole and the newest first, never a part
# of one. For beats and reports only: they come again within seconds, and the next one charges what a lost one
# did. Whatever brings money, or starts, moves or ends anything, waits for the disk.
LAZILY = "set_config('synchronous_commit', 'off', true)"
