"""Links over real ports: python-can buses and pyserial lines. Threads only move bytes; all else is on the loop."""
