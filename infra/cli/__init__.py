"""Commands of the `axonos` command line that set up and change the infrastructure."""
