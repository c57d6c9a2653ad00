"""Everything that touches the outside: database, chain, prices, provisioning."""
