"""The desktop session image: what is in it, how it is built, and the proof that it works."""
