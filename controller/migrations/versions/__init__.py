"""The schema, one step per file, oldest first."""
