"""Passive balancing: how long each cell has to bleed, the shortest time for all, and a plan that takes no longer."""
