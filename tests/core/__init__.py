"""The mechanism: lines of the log, and a golden line for every event."""
