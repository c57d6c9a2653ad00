"""`axonos ledger audit`: rebuilds every balance from the journal and the chain, and names what does not fit.

It shares no code with the platform that it audits: raw SQL and raw RPC in, findings out. A fault in the
services cannot hide here. What it cannot see is a rewriting of everything at once by somebody who owns the
database; keep the head it prints, and give it back with `--since`.
"""
