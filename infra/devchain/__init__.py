"""The local chain: anvil with our own contracts, for local mode and for tests. It holds no real money."""
