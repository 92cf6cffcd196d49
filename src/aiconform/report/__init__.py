"""Documents made from a bundle: pure functions that never see a cluster."""
