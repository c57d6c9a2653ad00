"""Benchmarks of the running platform: each prints one JSON object, with the peer measured in the same run."""
