"""The hardware-in-the-loop bench: stubs behind real wires, in their own process."""
