"""What hosts say of themselves, and what is believed of it."""
