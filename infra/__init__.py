"""Pulumi programs and what stands a platform up and takes it down."""
