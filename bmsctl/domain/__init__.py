"""Rules about values: no I/O, no device, no clock of its own."""
