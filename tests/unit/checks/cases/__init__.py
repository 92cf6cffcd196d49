"""For every probe, answers that must make it fail: one module per requirement, each with a tuple ``CASES``."""
