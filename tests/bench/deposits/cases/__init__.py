"""The cases: each a short story on the chain, played by watchers, by pasted hashes, and by both at once."""
