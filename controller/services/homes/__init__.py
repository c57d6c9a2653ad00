"""Homes: their moves between hosts, what owners do with them, what they cost while nobody is there."""
