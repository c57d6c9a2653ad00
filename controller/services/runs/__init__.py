"""Playbook runs: asked for before anything is done, worked off under a lease, followed by what they mean."""
