"""Copies of what cannot be made again: the database and the stack's state; each is proved by a restore."""
