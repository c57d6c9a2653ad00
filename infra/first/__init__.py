"""First stage of `make up`: what the system's own python3 can do before there is an environment."""
