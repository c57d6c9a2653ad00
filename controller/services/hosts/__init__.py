"""GPU hosts: taken in, upgraded, drained, given up; the images they boot and the GPUs they have."""
