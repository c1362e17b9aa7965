"""The mechanism: lines of the log, and one golden line of every event."""
