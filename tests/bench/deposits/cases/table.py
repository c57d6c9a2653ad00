"""Every case, by name."""

from deposits.cases import amounts, contracts, nodes, operators, payments, prices, reorgs
from deposits.cases.registry import CASES

__all__ = ["CASES", "amounts", "contracts", "nodes", "operators", "payments", "prices", "reorgs"]
