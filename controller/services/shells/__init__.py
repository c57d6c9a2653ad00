"""Shells over SSH: keys, ports, and where they answer."""
