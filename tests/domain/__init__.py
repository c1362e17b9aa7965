"""The rules, a file for each noun."""
