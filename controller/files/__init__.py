"""Carries files in and out of one home: a process for each connection, confined to that home as its owner."""
