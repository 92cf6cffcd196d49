"""The checks: one module per requirement."""
