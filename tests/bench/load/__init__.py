"""A controller under load: many people whose pages beat, many hosts whose guards report."""
