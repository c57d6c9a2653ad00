"""Drift of every kind on a real host, injected by hand, named by a check, repaired by one run."""
