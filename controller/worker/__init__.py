"""The worker: takes runs, ticks the meter, promotes claims, acts on clocks, watches the chain.

Any number of workers may run; leases and locks in PostgreSQL see to it that one does each piece of work.
"""
