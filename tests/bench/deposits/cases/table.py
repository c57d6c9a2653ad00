"""Every case, by name."""

from deposits.cases import amounts, contracts, payments, reorgs
from deposits.cases.registry import CASES

__all__ = ["CASES", "amounts", "contracts", "payments", "reorgs"]
