"""Deposits under every order of events: cases, a scheduler that replays, and an oracle that knows better."""
