"""The meter's bench: simulated days of many sessions, and an oracle that works out what each must have cost."""
