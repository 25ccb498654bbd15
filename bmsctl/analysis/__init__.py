"""Computations on arrays: no device, no file, no clock."""
