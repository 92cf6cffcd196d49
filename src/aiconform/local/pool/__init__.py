"""Pools of nodes that an autoscaler grows and shrinks: real nodes, made as it asks for them."""
