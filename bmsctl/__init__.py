"""Battery pack assembly and end-of-line test controller."""

__version__ = "0.1.0"
