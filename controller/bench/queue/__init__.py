"""Simulated people at production's queue: what its promises are worth, beside first-fit and strict FIFO."""
