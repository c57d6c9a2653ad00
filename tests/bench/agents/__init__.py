"""The bench of payments by HTTP 402; see `__main__`."""
