"""Tensors from here on: data sets as of a day, models, scores."""
