"""From a claim to GPUs: who waits, what is promised, who is placed."""
