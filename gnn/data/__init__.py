"""Graphs as of a day in arrays: what samplers, models and scoring read."""
