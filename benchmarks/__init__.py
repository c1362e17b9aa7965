"""All measurements of the toolkit, as ratios to a minimum without it: ``python -m benchmarks``."""
