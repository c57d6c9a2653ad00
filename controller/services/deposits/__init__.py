"""From a payment on a chain to minutes in the journal."""
