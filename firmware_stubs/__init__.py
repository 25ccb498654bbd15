"""Firmware and physics of every device a station talks to, for the sim and hil worlds."""
