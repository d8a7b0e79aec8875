"""Measurements, each with its own make target; results with the machine they ran on lie in `benchmarks/results/`."""
