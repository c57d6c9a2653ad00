"""`axonos up`: its stages, what they need from each other, and how they are shown."""
