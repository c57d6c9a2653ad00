"""Runs on each GPU host: renews leases, reports proof of life, stops what expired."""
