"""Every figure of the toolkit as a ratio against a bare bound, measured in one run: ``python -m benchmarks``."""
