"""The devices' side of a bench: `python -m hil.stubs` serves stubs on real wires, one pack after another."""
