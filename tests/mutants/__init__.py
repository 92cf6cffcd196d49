"""Clusters broken on purpose, one module per requirement: each probe must have one on which it does not pass."""
