"""Measurement system analysis: repeatability and reproducibility by two methods, and the type 1 study of a gauge."""
