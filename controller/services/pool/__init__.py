"""Desktops that wait, painted and frozen, for whoever comes."""
