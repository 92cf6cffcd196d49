"""Simulated NVIDIA accelerators: a driver library in C, its files on a node, and what a node needs to offer them."""
