"""The journal and what is read out of it: balances, holds, the meter, statements, audit, suspense."""
