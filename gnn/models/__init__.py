"""Models that score applications, and the rivals they must beat."""
