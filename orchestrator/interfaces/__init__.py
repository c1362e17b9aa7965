"""Interfaces: they translate input into calls of the API, and contain no rules."""
