"""Workstreams: streams of work with a priority."""
