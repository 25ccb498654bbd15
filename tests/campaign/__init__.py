"""Campaigns too long for the test suite; a part of each runs there."""
