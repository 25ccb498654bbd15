"""How devices are spoken to: one device a file, each implementing a port over a link."""
