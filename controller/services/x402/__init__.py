"""Payments by HTTP 402: settled, booked, and then whatever they are for."""
