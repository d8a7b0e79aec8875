"""Neighbors of seeds, never from after a seed's time."""
