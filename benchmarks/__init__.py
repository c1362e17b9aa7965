"""Every figure of the toolkit as a ratio against a bare bound, in one run: ``python -m benchmarks``."""
