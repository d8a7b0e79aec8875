"""Scoring everybody: every node of a label from all of its neighbors, layer by layer."""
