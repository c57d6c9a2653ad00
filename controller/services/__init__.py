"""Use cases: each opens its own transaction and speaks to the outside through ports."""
