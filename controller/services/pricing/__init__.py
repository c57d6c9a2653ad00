"""What minutes cost: believed prices, holder tiers, the payment panel's rates, binding quotes."""
