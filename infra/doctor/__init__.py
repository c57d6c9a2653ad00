"""`axonos doctor`: looks at the machine and the instance, changes nothing."""
