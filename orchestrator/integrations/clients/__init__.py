"""Set up the programs that people run agents in: their configuration files, hooks and instructions."""
