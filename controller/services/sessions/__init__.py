"""A session's life: every change of state, what it looks like, what ends it."""
