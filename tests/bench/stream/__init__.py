"""Streams through the gateway beside websockify: how many one core holds, what each costs and adds."""
