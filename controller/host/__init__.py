"""Runs on each GPU host: starts, stops and probes one session when a playbook asks."""
