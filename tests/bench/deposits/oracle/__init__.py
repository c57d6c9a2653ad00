"""What must have happened to every coin, told from raw JSON-RPC and raw SQL alone.

Imports nothing of the product: its own reading of the chain, its own arithmetic, its own eyes on the tables.
"""
