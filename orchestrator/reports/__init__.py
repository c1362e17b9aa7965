"""Reports: how the board stands, in figures."""
