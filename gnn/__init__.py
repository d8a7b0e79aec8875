"""Tensors from here on: data sets as of a day, models, scores."""

import os

# Waiting threads must sleep: two that spin on busy cores make training ten times slower. Read when OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
