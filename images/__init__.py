"""Images and the commands that build and verify them."""
