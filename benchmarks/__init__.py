"""Measurements of devstack against what people would do otherwise. `benchmarks/run` runs them all."""
