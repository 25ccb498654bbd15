"""Obvious, slow twins of what the product computes."""
