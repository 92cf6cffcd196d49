"""Proves that a Kubernetes cluster is AI-conformant, and lets others check the proof."""

__version__ = "0.1.0"
__all__ = ["__version__"]
