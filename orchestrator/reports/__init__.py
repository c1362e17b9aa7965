"""Reports: the status, statistics and history of a board."""
