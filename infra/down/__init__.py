"""`axonos down`: what has to happen before services stop, and what is removed after them."""
