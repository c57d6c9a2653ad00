"""The `axonos` command line: one module a command."""
